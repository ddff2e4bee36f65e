/** An installation below another folder, `--root`, with and without `--service-command`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { installationOf } from '../../../runtime/src/cli/commands/operation-options';
import { restore } from '../../../runtime/src/operations/restore';
import { switchModel } from '../../../runtime/src/operations/model-switch';
import { upgrade } from '../../../runtime/src/operations/upgrade';
import { temporaryFolder } from '../../support/temporary-folder';
import { API_KEY } from '../support/test-service';

const folder = temporaryFolder();
const file = () => join(folder(), 'etc/bot/config.yaml');
const install = () => {
  for (const path of ['opt/bot', 'etc/bot']) mkdirSync(join(folder(), path), { recursive: true });
  writeFileSync(file(), `api_key: ${API_KEY}\nmodel_path: /old.gguf\n`);
};

test.each([undefined, 'true'])(
  'says what is wrong with the model first, whoever restarts the service: %p',
  async (serviceCommand) => {
    install();
    const installation = await installationOf({ root: folder(), serviceCommand });
    const load = (options: Parameters<typeof switchModel>[1]) => switchModel(installation, options);
    await expect(load({ path: '/none.gguf' })).rejects.toThrow('there is no file /none.gguf');
    await expect(load({ path: file() })).rejects.toThrow(`${file()} is not a GGUF model`);
    await expect(load({ path: file(), replaces: 'x' })).rejects.toThrow('no model is called x');
  },
);

test('what ends in a restart asks before anything else who does that', async () => {
  install();
  const installation = await installationOf({ root: folder() });
  const missing = '--root needs --service-command too';
  await expect(upgrade(installation, { version: '1.0.0' })).rejects.toThrow(missing);
  await expect(restore(installation, { file: '/none', withLogs: false })).rejects.toThrow(missing);
});

test('says that nothing is installed there', async () => {
  const installation = await installationOf({ root: folder() });
  await expect(switchModel(installation, { path: '/none.gguf' })).rejects.toThrow(
    `there is no installation below ${folder()}: ${folder()}/opt/bot is missing`,
  );
});
