/** Another model, ended by a signal while its file is hashed or copied: nothing is left of it. Without llama.cpp. */
import { existsSync, mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { installationOf } from '../../../runtime/src/cli/commands/operation-options';
import { ggufStart } from '../../../runtime/src/models/gguf-header';
import { switchModel } from '../../../runtime/src/operations/model-switch';
import { temporaryFolder } from '../../support/temporary-folder';
import { API_KEY } from '../support/test-service';

let whenChecked: () => void;
jest.mock('../../../runtime/src/operations/model-check', () => ({
  checkModel: () => {
    whenChecked();
    return { architecture: 'llama', quantisation: 'F16', fileBytes: 0, totalBytes: 0, problem: undefined };
  },
}));

const folder = temporaryFolder();
const models = () => join(folder(), 'opt/bot/models');
const file = () => join(folder(), 'new.gguf');

beforeEach(() => {
  whenChecked = () => undefined;
  for (const path of ['opt/bot', 'etc/bot']) mkdirSync(join(folder(), path), { recursive: true });
  const config = `api_key: ${API_KEY}\nmodel_path: /old.gguf\nnetwork: { internal_port: 1 }\n`;
  writeFileSync(join(folder(), 'etc/bot/config.yaml'), config);
  writeFileSync(file(), ggufStart(0, 0));
  // Long enough to be in the midst of it when the signal comes.
  truncateSync(file(), 2 ** 27);
});

async function load(say: (line: string) => void = () => undefined) {
  const installation = await installationOf({ root: folder(), serviceCommand: 'false' });
  return switchModel({ ...installation, say, warn: () => undefined }, { path: file() });
}

const ended = (signal: string, exitCode: number) => ({
  message: `ended by ${signal}, nothing was changed; run it again`,
  exitCode,
});

test('while it is hashed', async () => {
  whenChecked = () => setImmediate(() => process.emit('SIGTERM', 'SIGTERM'));
  const said: string[] = [];
  await expect(load((line) => said.push(line))).rejects.toMatchObject(ended('SIGTERM', 143));
  expect(said).toEqual([]);
  expect(existsSync(models())).toBe(false);
});

test('while it is copied', async () => {
  const loading = load((line) => {
    if (line.startsWith('copying to ')) setTimeout(() => process.emit('SIGINT', 'SIGINT'), 20);
  });
  await expect(loading).rejects.toMatchObject(ended('SIGINT', 130));
  expect(readdirSync(models())).toEqual([]);
});

test('not any more once the service is asked to switch', async () => {
  truncateSync(file(), 24);
  const said: string[] = [];
  const loading = load((line) => {
    said.push(line);
    if (line.startsWith('switched from ')) process.emit('SIGINT', 'SIGINT');
  });
  await expect(loading).rejects.toThrow('/old.gguf is configured again, but does not answer');
  expect(said).toContain('SIGINT: this is finished first, or taken back');
  expect(readdirSync(models())).toEqual(['new.gguf']);
});
