/** The real model in three files, as large ones are published. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { SupervisedEngine } from '../../../runtime/src/engine/supervised-engine';
import { splitModel } from '../../support/split-model';
import { REPOSITORY, testModel } from '../../support/test-model';
import { CHILD, never, request } from './support/model-engine';

jest.setTimeout(120_000);

let folder: string;
let parts: readonly string[];
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'split-'));
  parts = splitModel(testModel().path, folder, 'model', 3);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const readAll = (...paths: readonly string[]): string[] => {
  const script = join(__dirname, 'read-model-files.mjs');
  const module = join(REPOSITORY, 'runtime', 'dist', 'engine', 'model-file.js');
  const { stdout, stderr } = spawnSync(process.execPath, [script, module, ...paths], { encoding: 'utf8' });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as string[];
};

async function start(modelPath: string): Promise<SupervisedEngine> {
  const engine = new SupervisedEngine(
    { modelPath, contextSize: 512, promptCacheMiB: 0, repack: false, log: () => undefined },
    CHILD,
  );
  return engine.start().then(
    () => engine,
    async (error: unknown) => {
      await engine.stop();
      throw error;
    },
  );
}

async function say(modelPath: string): Promise<string> {
  const engine = await start(modelPath);
  try {
    const asked = { ...request(''), input: { prompt: 'The capital of France is' } };
    let text = '';
    for await (const event of engine.generate(asked, never)) if (event.type === 'text') text += event.text;
    return text;
  } finally {
    await engine.stop();
  }
}

it('answers as in one file', async () => {
  const text = await say(parts[0]!);
  expect(text).toMatch(/\p{L}{2,}/u);
  expect(text).toBe(await say(testModel().path));
});

it('is refused where any of its files is cut short or away, which the message names', async () => {
  expect(readAll(parts[0]!, parts[1]!)).toEqual([
    'whole',
    `${parts[1]} is part 2 of a model in 3 parts; name the first, ${parts[0]}`,
  ]);
  for (const part of parts) {
    const { size } = statSync(part);
    truncateSync(part, size - 64);
    const [said] = readAll(parts[0]!);
    expect(said).toMatch(/is cut short: \d+ of its \d+ bytes are missing; download it again/);
    expect(said).toContain(`model_path: ${part} is`);
    if (part === parts[2]) await expect(start(parts[0]!)).rejects.toThrow(said);
    // The model's last bytes are not looked at again.
    truncateSync(part, size);
  }
  renameSync(parts[1]!, `${parts[1]}.away`);
  const missing = `model_path: ${parts[0]} is the first of 3 parts, and there is no ${parts[1]}; put all parts in one folder`;
  expect(readAll(parts[0]!)).toEqual([missing]);
  await expect(start(parts[0]!)).rejects.toThrow(missing);
  renameSync(`${parts[1]}.away`, parts[1]!);
});

it('is refused under a name that says another number of files than its header', () => {
  const renamed = join(folder, 'renamed.gguf');
  renameSync(parts[0]!, renamed);
  expect(readAll(renamed)).toEqual([
    `model_path: ${renamed} has the name of a model in one file, and its header says 3; ` +
      'give it its name back, such as MODEL-00001-of-00003.gguf',
  ]);
  renameSync(renamed, parts[0]!);
});
