/** What an upgrade looks at before it changes anything. With releases whose command is this checkout's. */
import { mkdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { installationOf } from '../../../runtime/src/cli/commands/operation-options';
import { upgrade } from '../../../runtime/src/operations/upgrade';
import { temporaryFolder } from '../../support/temporary-folder';
import { REPOSITORY } from '../../support/test-model';
import { API_KEY } from '../support/test-service';

const folder = temporaryFolder();
const path = (...parts: string[]) => join(folder(), ...parts);

function release(name: string, version: string): void {
  mkdirSync(path('opt/bot/releases', name, 'bin'), { recursive: true });
  writeFileSync(path('opt/bot/releases', name, 'VERSION'), JSON.stringify({ version }));
  const bot = join(REPOSITORY, 'runtime/src/cli/bot.ts');
  const script = `#!/bin/sh\ncd '${REPOSITORY}' && exec '${process.execPath}' --import tsx '${bot}' "$@"\n`;
  writeFileSync(path('opt/bot/releases', name, 'bin/bot'), script, { mode: 0o755 });
}

test('says all that the new version does not take in the configuration, and changes nothing', async () => {
  release('aaaaaaaaaaaa', '1.0.0');
  release('bbbbbbbbbbbb', '2.0.0');
  symlinkSync('releases/aaaaaaaaaaaa', path('opt/bot/current'));
  mkdirSync(path('etc/bot'), { recursive: true });
  const file = path('etc/bot/config.yaml');
  writeFileSync(file, `api_key: ${API_KEY}\nmodel_path: /none.gguf\nstate_directory: /none\n`);
  const installation = await installationOf({ root: folder(), serviceCommand: 'false' });
  const refused = upgrade(installation, { version: '2.0.0' });
  const what = 'version 2.0.0 does not take the configuration, nothing was changed:\n';
  await expect(refused).rejects.toThrow(`${what}${file}: \`model_path\` names /none.gguf, which is not`);
  await expect(refused).rejects.toThrow(`\n${file}: \`state_directory\` names /none, which is not`);
  expect(readlinkSync(path('opt/bot/current'))).toBe('releases/aaaaaaaaaaaa');
});
