#!/usr/bin/env node
/** The `bot` command. Each subcommand registers itself and loads what it needs only when it runs. */
import { Command, CommanderError } from 'commander';

import { ConfigError } from '../config/load.js';
import { messageOf } from '../errors/message-of.js';
import { Interrupted } from '../operations/interruption.js';
import { registerBackup } from './commands/backup.js';
import { registerConfig } from './commands/config.js';
import { registerDoctor } from './commands/doctor.js';
import { registerLogs } from './commands/logs.js';
import { registerModel } from './commands/model.js';
import { registerPolicy } from './commands/policy.js';
import { registerReload } from './commands/reload.js';
import { registerServe } from './commands/serve.js';
import { registerStatus } from './commands/status.js';
import { registerToken } from './commands/token.js';
import { registerUp } from './commands/up.js';
import { registerUpgrade } from './commands/upgrade.js';
import { EXIT } from './exit-codes.js';
import { readVersion } from './version.js';

const program = new Command('bot')
  .description('A private, OpenAI-compatible chat service')
  .version(readVersion().text, '--version', 'print versions')
  .exitOverride();

for (const register of [
  registerServe,
  registerReload,
  registerToken,
  registerPolicy,
  registerConfig,
  registerModel,
  registerStatus,
  registerDoctor,
  registerLogs,
  registerBackup,
  registerUpgrade,
  registerUp,
])
  register(program);

// An upgrade does not stop half way because nobody reads what it says (`| head`, a lost terminal).
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = explain(error);
}

/** Says on standard error what went wrong; returns the exit code. */
function explain(error: unknown): number {
  // Commander has already printed its message, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.OK : EXIT.USAGE;
  if (error instanceof ConfigError) {
    for (const problem of error.problems) process.stderr.write(`${error.file}: ${problem}\n`);
    return EXIT.CONFIGURATION;
  }
  process.stderr.write(`error: ${messageOf(error)}\n`);
  return error instanceof Interrupted ? error.exitCode : EXIT.FAILURE;
}
