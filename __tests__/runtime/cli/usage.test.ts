/** What every command owes whoever calls it: examples in its help, exit code 2 and a remedy for a wrong argument. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Command, CommanderError } from '../../../runtime/node_modules/commander';

import { registerBackup } from '../../../runtime/src/cli/commands/backup';
import { registerConfig } from '../../../runtime/src/cli/commands/config';
import { registerDoctor } from '../../../runtime/src/cli/commands/doctor';
import { registerLogs } from '../../../runtime/src/cli/commands/logs';
import { registerModel } from '../../../runtime/src/cli/commands/model';
import { registerPolicy } from '../../../runtime/src/cli/commands/policy';
import { registerReload } from '../../../runtime/src/cli/commands/reload';
import { registerServe } from '../../../runtime/src/cli/commands/serve';
import { registerStatus } from '../../../runtime/src/cli/commands/status';
import { registerToken } from '../../../runtime/src/cli/commands/token';
import { registerUpgrade } from '../../../runtime/src/cli/commands/upgrade';
import { temporaryFolder } from '../../support/temporary-folder';
import { API_KEY } from '../support/test-service';

// It finds its folder by import.meta, which Jest does not have.
jest.mock('../../../runtime/src/cli/version', () => ({
  PACKAGE_ROOT: '/',
  readVersion: () => ({ version: '1', text: '1' }),
}));

const folder = temporaryFolder();
let said = '';
const keep = (text: string) => void (said += text);

function program(): Command {
  said = '';
  const bot = new Command('bot').exitOverride().configureOutput({ writeOut: keep, writeErr: keep });
  [registerBackup, registerConfig, registerDoctor, registerLogs, registerModel, registerPolicy].forEach(
    (register) => register(bot),
  );
  [registerReload, registerServe, registerStatus, registerToken, registerUpgrade].forEach((register) =>
    register(bot),
  );
  return bot;
}

/** Those that do something, by their names. */
function withActions(command: Command, name = ''): [string, Command][] {
  const below = command.commands.flatMap((child) => withActions(child, `${name} ${child.name()}`.trim()));
  const isGroup = command.commands.length > 0 && command.name() !== 'token';
  return isGroup ? below : [[name, command], ...below];
}

test.each(withActions(program()))('%s --help has an example', (_name, command) => {
  said = '';
  command.outputHelp();
  expect(said).toMatch(/\nExamples?:\n {2}\S/);
});

test.each([
  [['token', 'revoke'], 'error: name either a token’s id or --user NAME\n'],
  [['policy', 'set'], 'error: name settings (KEY=VALUE) or --file FILE\n'],
])('%j lacks an argument', async (args, message) => {
  await expect(program().parseAsync(args, { from: 'user' })).rejects.toThrow(CommanderError);
  expect(said).toBe(message);
});

test.each([
  ['/none', 'ENOENT); there is no such file: check the path'],
  ['/tmp', 'EISDIR); it is a folder: name the file in it'],
])('a policy file that cannot be read is named, with a remedy: %s', async (file, reason) => {
  const config = join(folder(), 'config.yaml');
  writeFileSync(config, `api_key: ${API_KEY}\nmodel_path: /none.gguf\n`);
  const checking = program().parseAsync(['policy', 'check', file, '--config', config], { from: 'user' });
  await expect(checking).rejects.toThrow(`the policy file ${file} cannot be read (${reason}`);
});
