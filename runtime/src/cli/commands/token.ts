/** `bot token`: makes access tokens from the API key in the configuration, lists and revokes them. */
import { InvalidArgumentError, type Command } from 'commander';

import type { AccessToken } from '../../access/access-token.js';
import { MAX_EXPIRY_SECONDS, type TokenRecord } from '../../access/register-content.js';
import { DEFAULT_SCOPES, isScope, SCOPES, type Scope } from '../../access/scopes.js';
import { DEFAULT_EXPIRY_SECONDS, userSchema } from '../../access/token-order.js';
import type { TokenRegister } from '../../access/token-register.js';
import { configFile, loadConfig, stateDirectory } from '../../config/load.js';
import { messageOf } from '../../errors/message-of.js';

interface ConfigOption {
  readonly config?: string;
}

interface IssueOptions extends ConfigOption {
  readonly user: string;
  readonly expiry: number;
  readonly scope: readonly Scope[];
}

const CONFIG_FLAG = [
  '--config <file>',
  'configuration file (default: $BOT_CONFIG or /etc/bot/config.yaml)',
] as const;

export function registerToken(program: Command): void {
  // `bot token list --config F`: the flag belongs to `list`, though `token` has one of this name too.
  program.enablePositionalOptions();
  const token = withIssueOptions(program.command('token'))
    .description('print a new access token and its expiry; list and revoke tokens')
    .addHelpText('after', '\nExamples:\n  sudo bot token\n  sudo bot token --user ada --expiry 86400')
    .action(printToken);

  withIssueOptions(token.command('issue'))
    .description('the same, for a named user, with the token’s id')
    .addHelpText(
      'after',
      '\nExample:\n  sudo bot token issue --user ada --scope chat,metrics:read --expiry 604800',
    )
    .action(issue);
  token
    .command('list')
    .description('list the tokens in the register, newest first; the tokens themselves are not stored')
    .option('--json', 'one JSON array, times in Unix seconds')
    .option(...CONFIG_FLAG)
    .addHelpText(
      'after',
      '\nA token that is not revoked is valid as long as the API key that signed it: once that is neither the current' +
        '\nnor the previous one, it gets 401. Which key that was does not stand in the register.' +
        '\n\nExamples:\n  sudo bot token list\n  sudo bot token list --json',
    )
    .action(list);
  token
    .command('revoke [id]')
    .description('make a token, or all tokens of a user, invalid; works within a second')
    .option('--user <name>', 'all tokens that this user has now, instead of one by its id', parseUser)
    .option('--unlisted', 'also an id that no register knows: of a token that was signed elsewhere')
    .option(...CONFIG_FLAG)
    .addHelpText(
      'after',
      '\nExamples:\n  sudo bot token revoke 6f0c7a51-…\n  sudo bot token revoke --user ada',
    )
    .action(revoke);
}

function withIssueOptions(command: Command): Command {
  return command
    .option('--user <name>', 'who the token is for; appears in the logs', parseUser, 'admin')
    .option('--expiry <seconds>', 'how long it is valid', parseExpiry, DEFAULT_EXPIRY_SECONDS)
    .option('--scope <list>', `what it may be used for: ${SCOPES.join(', ')}`, parseScopes, DEFAULT_SCOPES)
    .option(...CONFIG_FLAG);
}

/** The output is guide A's, to the letter: scripts read it. */
async function printToken(options: IssueOptions): Promise<void> {
  const { token, expiresAt } = await makeToken(options);
  process.stdout.write(`Generated Access Token: ${token}\nToken Expiry: ${isoTime(expiresAt)}\n`);
}

async function issue(options: IssueOptions): Promise<void> {
  const { token, id, expiresAt } = await makeToken(options);
  process.stdout.write(
    `Generated Access Token: ${token}\nToken Expiry: ${isoTime(expiresAt)}\nToken ID: ${id}\n`,
  );
}

/** Enters the token in the register where there is one; without, it is as valid, and cannot be revoked by its user. */
async function makeToken({ user, expiry, scope, config }: IssueOptions): Promise<AccessToken> {
  return withRegister(config, async (register, apiKey) => {
    const order = { user, scopes: scope, expirySeconds: expiry };
    if (register !== undefined) {
      try {
        return await register.issue(order);
      } catch (error) {
        const reason = messageOf(error);
        process.stderr.write(`note: not entered in the register of tokens: ${reason}\n`);
      }
    }
    const { signAccessToken } = await import('../../access/access-token.js');
    return signAccessToken(apiKey, user, expiry, scope);
  });
}

async function list({ json, config }: ConfigOption & { json?: boolean }): Promise<void> {
  const tokens = await withRegister(config, async (register) => required(register).list());
  if (json === true) process.stdout.write(`${JSON.stringify(tokens, null, 2)}\n`);
  else process.stdout.write(tokens.length === 0 ? 'no tokens\n' : tableOf(tokens));
}

async function revoke(
  id: string | undefined,
  { user, unlisted, config }: ConfigOption & { user?: string; unlisted?: true },
  command: Command,
): Promise<void> {
  if ((id === undefined) === (user === undefined))
    command.error('error: name either a token’s id or --user NAME');
  await withRegister(config, async (register) => {
    if (user !== undefined) {
      const count = await required(register).revokeUser(user);
      process.stdout.write(`revoked all tokens of ${user} (${count} in the register)\n`);
    } else if (id !== undefined) {
      // More often it is mistyped, and the token that was meant goes on to be valid.
      if (
        unlisted !== true &&
        !required(register)
          .list()
          .some((token) => token.id === id)
      ) {
        throw new Error(
          `no token in the register has the id ${id}, and nothing was revoked; \`bot token list\` shows them ` +
            '(for a token that was signed elsewhere: --unlisted)',
        );
      }
      const known = await required(register).revoke(id);
      const whose = known === undefined ? 'which the register did not know' : `of ${known.user}`;
      process.stdout.write(`revoked ${id}, ${whose}\n`);
    }
  });
}

async function withRegister<T>(
  configOption: string | undefined,
  use: (register: TokenRegister | undefined, apiKey: string) => Promise<T>,
): Promise<T> {
  const { ApiKeys } = await import('../../access/api-keys.js');
  const { keySource } = await import('../../access/key-source.js');
  const { REGISTER_FILE } = await import('../../access/register-file.js');
  const { TokenRegister } = await import('../../access/token-register.js');
  const { openCopy } = await import('../../state-copy/open.js');

  const config = loadConfig(configFile(configOption, process.env), process.env);
  const { source } = keySource(config, process.env);
  const keys = await ApiKeys.open({ source, refreshIntervalMs: 0, onProblem: () => undefined });
  const [apiKey] = keys.current();
  if (apiKey === undefined) throw new Error('the configuration holds no API key');
  const directory = stateDirectory(config);
  if (directory === undefined) return use(undefined, apiKey.value);
  const log = (level: string, text: string) => {
    if (level !== 'INF') process.stderr.write(`note: ${text}\n`);
  };
  const encryption = config.security.encryption;
  const copy = openCopy(config, process.env, REGISTER_FILE);
  return use(await TokenRegister.open({ directory, encryption, keys, copy, log }), apiKey.value);
}

function required(register: TokenRegister | undefined): TokenRegister {
  if (register !== undefined) return register;
  throw new Error('there is no register of tokens here: set `state_directory` in the configuration');
}

const HEADINGS = ['ID', 'USER', 'SCOPES', 'ISSUED', 'EXPIRES', 'STATE'] as const;

function tableOf(tokens: readonly TokenRecord[]): string {
  const rows = [
    HEADINGS,
    ...tokens.map((token) => [
      token.id,
      token.user === '' ? '?' : token.user,
      token.scopes.join(','),
      isoTime(new Date(token.issuedAt * 1000)),
      isoTime(new Date(token.expiresAt * 1000)),
      stateOf(token),
    ]),
  ];
  const widths = HEADINGS.map((_heading, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return `${rows.map(line).join('\n')}\n`;
}

function stateOf({ revokedAt, expiresAt }: TokenRecord): string {
  if (revokedAt !== undefined) return `revoked ${isoTime(new Date(revokedAt * 1000))}`;
  return expiresAt * 1000 <= Date.now() ? 'expired' : 'not revoked';
}

function isoTime(date: Date): string {
  return date.toISOString().replace('.000Z', 'Z');
}

function parseUser(value: string): string {
  const result = userSchema.safeParse(value);
  if (result.success) return result.data;
  throw new InvalidArgumentError(`Allowed: ${result.error.issues[0]?.message ?? ''}.`);
}

function parseExpiry(value: string): number {
  const seconds = Number(value);
  if (/^\d+$/.test(value) && seconds >= 1 && seconds <= MAX_EXPIRY_SECONDS) return seconds;
  throw new InvalidArgumentError(`Allowed: whole seconds from 1 to ${MAX_EXPIRY_SECONDS} (90 days).`);
}

function parseScopes(value: string): readonly Scope[] {
  const scopes = [...new Set(value.split(',').map((scope) => scope.trim()))];
  if (scopes.every(isScope)) return scopes;
  throw new InvalidArgumentError(`Allowed: one or more of ${SCOPES.join(', ')}, separated by commas.`);
}
