/** `bot token`: makes an access token from the API key in the configuration. */
import { InvalidArgumentError, type Command } from 'commander';

import { configFile, loadConfig } from '../../config/load.js';

/** No token outlives the API key's own 90 days. */
const MAX_EXPIRY_SECONDS = 90 * 24 * 3600;

interface TokenOptions {
  readonly user: string;
  readonly expiry: number;
  readonly config?: string;
}

export function registerToken(program: Command): void {
  program
    .command('token')
    .description('print a new access token and its expiry')
    .option('--user <name>', 'who the token is for; appears in the logs', parseUser, 'admin')
    .option('--expiry <seconds>', 'how long it is valid', parseExpiry, 86400)
    .option('--config <file>', 'configuration file (default: $BOT_CONFIG or /etc/bot/config.yaml)')
    .action(printToken);
}

async function printToken(options: TokenOptions): Promise<void> {
  const { keySource } = await import('../../access/key-source.js');
  const { signAccessToken } = await import('../../access/access-token.js');

  const config = loadConfig(configFile(options.config, process.env), process.env);
  const [apiKey] = await keySource(config, process.env).source();
  if (apiKey === undefined) throw new Error('the configuration holds no API key');
  const { token, expiresAt } = await signAccessToken(apiKey, options.user, options.expiry);

  const expiry = expiresAt.toISOString().replace('.000Z', 'Z');
  process.stdout.write(`Generated Access Token: ${token}\nToken Expiry: ${expiry}\n`);
}

function parseUser(value: string): string {
  if (/^[A-Za-z0-9][\w.@-]{0,63}$/.test(value)) return value;
  throw new InvalidArgumentError(
    'Allowed: 1 to 64 letters, digits and . _ @ -, beginning with a letter or digit.',
  );
}

function parseExpiry(value: string): number {
  const seconds = Number(value);
  if (/^\d+$/.test(value) && seconds >= 1 && seconds <= MAX_EXPIRY_SECONDS) return seconds;
  throw new InvalidArgumentError(`Allowed: whole seconds from 1 to ${MAX_EXPIRY_SECONDS} (90 days).`);
}
