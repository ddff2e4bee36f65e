/** Reads the configuration file into one validated object, or says in a person's words why not. */
import { accessSync, constants, readFileSync, statSync } from 'node:fs';

import { CORE_SCHEMA, load as parseYaml, YAMLException } from 'js-yaml';

import { explainIssues } from '../errors/validation.js';
import { fillFromEnvironment, type Environment } from './environment.js';
import { modelsOf } from './models.js';
import { configSchema, type BotConfig } from './schema.js';

export const DEFAULT_CONFIG_FILE = '/etc/bot/config.yaml';
const DEFAULT_STATE_DIRECTORY = '/var/lib/bot';

/** The configuration cannot be used. `problems` are whole sentences, one each. */
export class ConfigError extends Error {
  constructor(
    readonly file: string,
    readonly problems: readonly string[],
    /** Environment variables that it needs and that are not set, where that is the problem. */
    readonly unset: readonly string[] = [],
  ) {
    super(`${file}: ${problems.join('; ')}`);
    this.name = 'ConfigError';
  }
}

/** `--config`, else $BOT_CONFIG, else /etc/bot/config.yaml. */
export function configFile(option: string | undefined, env: Environment): string {
  return option ?? env['BOT_CONFIG'] ?? DEFAULT_CONFIG_FILE;
}

/** @throws ConfigError with every problem found, not only the first. */
export function loadConfig(file: string, env: Environment): BotConfig {
  const raw = parse(file, readText(file));
  const filled = fillFromEnvironment(raw, env);
  if (filled.problems.length > 0) throw new ConfigError(file, filled.problems, filled.unset);

  const result = configSchema.safeParse(filled.value);
  if (result.success) return result.data;
  const complaints = explainIssues(result.error, filled.value, configSchema);
  throw new ConfigError(
    file,
    complaints.map((complaint) => complaint.text),
  );
}

/** Checks what the schema cannot: that the files and folders named are there. @throws ConfigError */
export function checkPaths(file: string, config: BotConfig): void {
  const problems: string[] = [];
  for (const { key, path } of modelsOf(config)) {
    if (path === undefined || isReadableFile(path)) continue;
    problems.push(
      `\`${key}model_path\` names ${path}, which is not a readable file; ` +
        'fetch a model with `bot model pull`, or correct the path',
    );
  }
  const directory = config.logging.directory;
  if (directory !== undefined && !isWritableDirectory(directory)) {
    problems.push(
      `\`logging.directory\` names ${directory}, which is not a writable folder; ` +
        'create it for the user that runs the service, or remove the key to log to standard output only',
    );
  }
  const state = config.state_directory;
  if (state !== undefined && !isWritableDirectory(state)) {
    problems.push(
      `\`state_directory\` names ${state}, which is not a writable folder; ` +
        'create it for the user that runs the service, or remove the key to keep nothing',
    );
  }
  if (problems.length > 0) throw new ConfigError(file, problems);
}

/** Where the service keeps things: as configured, else the usual folder, if this machine has it. */
export function stateDirectory(config: BotConfig): string | undefined {
  if (config.state_directory !== undefined) return config.state_directory;
  return statSync(DEFAULT_STATE_DIRECTORY, { throwIfNoEntry: false })?.isDirectory() === true
    ? DEFAULT_STATE_DIRECTORY
    : undefined;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') {
      throw new ConfigError(file, ['there is no such file; name another with --config FILE or $BOT_CONFIG']);
    }
    if (code === 'EACCES') {
      throw new ConfigError(file, [
        'this user may not read it; run as the user or group `bot`, or with sudo',
      ]);
    }
    throw new ConfigError(file, [`it cannot be read: ${(error as Error).message}`]);
  }
}

function parse(file: string, text: string): unknown {
  try {
    // The core schema: no dates or binary, which nobody means to write here.
    const value = parseYaml(text, { schema: CORE_SCHEMA });
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
    throw new ConfigError(file, [
      'it should hold keys and values in YAML, such as `model_path: /opt/bot/models/x.gguf`',
    ]);
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    const { line, column } = error.mark;
    throw new ConfigError(file, [`line ${line + 1}, column ${column + 1}: not valid YAML (${error.reason})`]);
  }
}

function isReadableFile(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function isWritableDirectory(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
