import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { checkGgufFile } from '../../../runtime/src/models/gguf-file';
import { fakeGguf } from '../../support/model-server';
import { temporaryFolder } from '../../support/temporary-folder';

describe('the first look at a model file', () => {
  const folder = temporaryFolder();

  const check = (content: Buffer | string) => {
    const file = join(folder(), 'model.gguf');
    writeFileSync(file, content);
    return checkGgufFile(file);
  };

  it('accepts GGUF versions 2 and 3', async () => {
    await expect(check(fakeGguf(100))).resolves.toBeUndefined();
    const second = fakeGguf(100);
    second.writeUInt32LE(2, 4);
    await expect(check(second)).resolves.toBeUndefined();
  });

  it.each([
    ['an error page', '<!DOCTYPE html><title>404</title>', 'begins like a web page'],
    ['a Git LFS pointer', 'version https://git-lfs.github.com/spec/v1\noid sha256:0', 'git lfs pull'],
    ['a safetensors file', '\x10\0\0\0\0\0\0\0{"a":1}', 'instead of "GGUF"'],
    ['an empty file', '', 'is empty'],
    ['a file cut inside the header', 'GGUF\x03\0\0\0', 'ends inside the GGUF header'],
  ])('refuses %s', async (_what, content, message) => {
    await expect(check(content)).rejects.toMatchObject({
      code: 'NOT_GGUF',
      message: expect.stringContaining(message),
    });
  });

  it('refuses a version that the engine does not read', async () => {
    const future = fakeGguf(100);
    future.writeUInt32LE(9, 4);
    await expect(check(future)).rejects.toThrow('GGUF version 9, this engine reads 2 and 3');
  });

  it('tells a missing file from a folder', async () => {
    await expect(checkGgufFile(join(folder(), 'none.gguf'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    mkdirSync(join(folder(), 'sub'));
    await expect(checkGgufFile(join(folder(), 'sub'))).rejects.toMatchObject({ code: 'NOT_A_FILE' });
  });
});
