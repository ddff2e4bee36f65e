/** `bot policy`: shows, checks and changes the access policy. A running service takes a change over by itself. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Command } from 'commander';

import { ConfigError, configFile, loadConfig, stateDirectory } from '../../config/load.js';
import { systemCode } from '../../models/errors.js';
import type { PolicyStore } from '../../policy/store.js';

interface ConfigOption {
  readonly config?: string;
}

const CONFIG_FLAG = [
  '--config <file>',
  'configuration file (default: $BOT_CONFIG or /etc/bot/config.yaml)',
] as const;

export function registerPolicy(program: Command): void {
  const policy = program
    .command('policy')
    .description('the access policy: limits and word rules')
    .addHelpText('after', '\nExamples:\n  sudo bot policy show\n  sudo bot policy set sessions.per_token=5');
  policy
    .command('show')
    .description('print the policy as it stands in its file, defaults filled in')
    .option('--json', 'as JSON')
    .option(...CONFIG_FLAG)
    .addHelpText('after', '\nExamples:\n  sudo bot policy show\n  sudo bot policy show --json')
    .action(show);
  policy
    .command('check [file]')
    .description('say whether a policy file is right (default: the one in use); changes nothing')
    .option(...CONFIG_FLAG)
    .addHelpText('after', '\nExamples:\n  sudo bot policy check\n  sudo bot policy check new-policy.yaml')
    .action(check);
  policy
    .command('set [settings...]')
    .description('change single settings, or replace the policy by a file')
    .option('--file <file>', 'the new policy, YAML or JSON; - reads standard input')
    .option(...CONFIG_FLAG)
    .addHelpText(
      'after',
      '\nExamples:\n  sudo bot policy set sessions.per_token=5 sessions.longest_request_seconds=120\n' +
        '  sudo bot policy set users.ada.per_token=2\n  sudo bot policy set sessions.overall=   (back to the default)\n' +
        '  sudo bot policy set --file new-policy.yaml',
    )
    .action(set);
}

async function show({ json, config }: ConfigOption & { json?: boolean }): Promise<void> {
  const { renderPolicy } = await import('../../policy/read.js');
  const { policy } = await openStore(config);
  process.stdout.write(json === true ? `${JSON.stringify(policy, null, 2)}\n` : renderPolicy(policy));
}

async function check(file: string | undefined, { config }: ConfigOption): Promise<void> {
  if (file === undefined) {
    const store = await openStore(config);
    process.stdout.write(`${store.file ?? 'the default policy'} is valid\n`);
    return;
  }
  const { parsePolicy } = await import('../../policy/read.js');
  const { limits } = loadConfig(configFile(config, process.env), process.env);
  const text = await readText(file);
  await explained(file, () => parsePolicy(text, limits.max_request_seconds));
  process.stdout.write(`${file} is valid\n`);
}

async function set(
  settings: readonly string[],
  { file, config }: ConfigOption & { file?: string },
  command: Command,
): Promise<void> {
  if (settings.length > 0 === (file !== undefined))
    command.error('error: name settings (KEY=VALUE) or --file FILE');
  const store = await openStore(config, file !== undefined);
  if (store.file === undefined) {
    throw new Error('there is no folder for the policy here: set `state_directory` in the configuration');
  }
  await explained(file ?? 'the new policy', async () => {
    if (file !== undefined) await replaceBy(store, await readText(file === '-' ? '/dev/stdin' : file));
    else await store.replace(settings.reduce<unknown>(withSetting, store.policy));
  });
  process.stdout.write(`${store.file} is written; a running service takes it over within a second\n`);
}

async function readText(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    const code = systemCode(error) ?? 'unknown';
    throw new Error(
      `the policy file ${file} cannot be read (${code}); ${REMEDIES[code] ?? 'check the disk'}`,
      {
        cause: error,
      },
    );
  });
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file: check the path',
  ENOTDIR: 'there is no such file: check the path',
  EISDIR: 'it is a folder: name the file in it',
  EACCES: 'run this with sudo',
};

/** YAML stays as a person wrote it; JSON, though it is YAML too, becomes what a person would write. */
async function replaceBy(store: PolicyStore, text: string): Promise<void> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return store.replaceText(text);
  }
  return store.replace(value);
}

/** `a.b=1` puts the number 1 at policy.a.b; `a.b=` takes it away. */
function withSetting(policy: unknown, setting: string): unknown {
  const match = /^([a-z_]+(?:\.[\w@-]+)*)=(.*)$/s.exec(setting);
  if (match === null) throw new Error(`expected KEY=VALUE such as sessions.per_token=5, got ${setting}`);
  const [, path = '', text = ''] = match;
  const value = text === '' ? undefined : /^\d+$/.test(text) ? Number(text) : text;
  return put(policy, path.split('.'), value);
}

function put(target: unknown, [key, ...rest]: readonly string[], value: unknown): unknown {
  if (key === undefined) return value;
  const object = typeof target === 'object' && target !== null ? (target as Record<string, unknown>) : {};
  const next = put(Object.hasOwn(object, key) ? object[key] : undefined, rest, value);
  const others = Object.entries(object).filter(([name]) => name !== key);
  return Object.fromEntries(next === undefined ? others : [...others, [key, next]]);
}

/** `mayBeBroken`: it is about to be replaced as a whole. */
async function openStore(configOption: string | undefined, mayBeBroken = false): Promise<PolicyStore> {
  const { POLICY_FILE, PolicyStore } = await import('../../policy/store.js');
  const config = loadConfig(configFile(configOption, process.env), process.env);
  const directory = stateDirectory(config);
  return explained(join(directory ?? '', POLICY_FILE), () =>
    PolicyStore.open({
      directory,
      maxRequestSeconds: config.limits.max_request_seconds,
      mayBeBroken,
      log: () => undefined,
    }),
  );
}

/** What is wrong with a policy is said, and exits, like what is wrong with a configuration. */
async function explained<T>(file: string, work: () => T | Promise<T>): Promise<T> {
  const { PolicyError } = await import('../../policy/read.js');
  try {
    return await work();
  } catch (error) {
    throw error instanceof PolicyError ? new ConfigError(file, error.problems) : error;
  }
}
