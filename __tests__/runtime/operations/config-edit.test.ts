import { load } from 'js-yaml';

import { editConfig } from '../../../runtime/src/operations/config-edit';

const WHOLE: readonly (string | number)[] = [];

/** Of a person who cares how it looks. */
const TEXT = `# who to ask: ops@example.com

model_path:   '/a.gguf'    # the small one


network: {internal_port: 8000,   console_port: 8080} # both local
security:
    api_key: "\${KEY}"   # never here
models:
    # for search
    - model_path: /b.gguf   # 2026-03
      engine: { context_size: 0x200 }
    - { model_name: three, model_path: "/c.gguf" }
limits:
    max_queue: 16
`;

test('changes one value and not a letter beside it', async () => {
  expect(await editConfig(TEXT, { within: WHOLE, set: { model_path: '/new.gguf' } })).toBe(
    TEXT.replace("'/a.gguf'", "'/new.gguf'"),
  );
});

test('changes one of a list of models, and nothing else of the file', async () => {
  expect(await editConfig(TEXT, { within: ['models', 0], set: { model_path: '/new.gguf' } })).toBe(
    TEXT.replace('/b.gguf', '/new.gguf'),
  );
});

test.each([
  ['models', 0, 'model_path: /new.gguf   # 2026-03\n      model_name: two\n'],
  ['models', 1, '{ model_name: two, model_path: "/new.gguf" }\n'],
])('sets a name beside the path of %s[%i]', async (list, index, line) => {
  const edited = await editConfig(TEXT, {
    within: [list, index],
    set: { model_path: '/new.gguf', model_name: 'two' },
  });
  expect(edited).toContain(line);
  expect(edited.split('\n').filter((text) => !TEXT.includes(text))).toHaveLength(index === 0 ? 2 : 1);
});

test('adds a key that is not there, also behind a last line without its end', async () => {
  const set = { model_path: '/b.gguf', model_name: 'x' };
  expect(await editConfig('a: 1\nmodel_path: /a.gguf', { within: WHOLE, set })).toBe(
    'a: 1\nmodel_path: /b.gguf\nmodel_name: x',
  );
  expect(await editConfig('{"model_path": "/a.gguf", "b": 1}\n', { within: WHOLE, set })).toBe(
    '{"model_path": "/b.gguf", model_name: "x", "b": 1}\n',
  );
});

test.each([
  ['a byte order mark', '\uFEFFmodel_path: /a.gguf # c\n', '\uFEFFmodel_path: /b.gguf # c\nmodel_name: x\n'],
  [
    'line ends of Windows',
    'model_path: /a.gguf # c\r\nb: 1\r\n',
    'model_path: /b.gguf # c\r\nmodel_name: x\r\nb: 1\r\n',
  ],
  [
    'these and a value over several lines, with a comment',
    'model_path: >- # c\r\n  /a.gguf\r\nb: 1\r\n',
    'model_path: /b.gguf # c\r\nb: 1\r\nmodel_name: x\r\n',
  ],
])('keeps %s', async (_, before, after) => {
  const set = { model_path: '/b.gguf', model_name: 'x' };
  expect(await editConfig(before, { within: WHOLE, set })).toBe(after);
});

test.each([
  '/b: c.gguf',
  '/b #c.gguf',
  'true',
  '1e3',
  '~',
  "/it's",
  '/a"b',
  '/a,b]',
  '/ü 模型',
  `/${'x'.repeat(300)} y`,
])('writes %p so that it is read as it is meant', async (path) => {
  for (const within of [WHOLE, ['models', 0], ['models', 1]]) {
    const edited = await editConfig(TEXT, { within, set: { model_path: path } });
    const before = load(TEXT) as { models: object[] };
    const found = load(edited) as { models: object[] };
    const place = within.length === 0 ? found : found.models[within[1] as number];
    expect(place).toMatchObject({ model_path: path });
    Object.assign(place as object, { model_path: undefined });
    Object.assign((within.length === 0 ? before : before.models[within[1] as number]) as object, {
      model_path: undefined,
    });
    expect(found).toEqual(before);
    expect(edited).toContain('# never here');
  }
});

test('keeps the comments where a value has no place of its own', async () => {
  const text = '# why\nmodel_path: >\n  /a.gguf\n# the others\nb: { c: [1], d: "two" } # both\n';
  const edited = await editConfig(text, { within: WHOLE, set: { model_path: '/b.gguf' } });
  expect(load(edited)).toEqual({ model_path: '/b.gguf', b: { c: [1], d: 'two' } });
  for (const part of ['# why\n', '# the others\n', 'd: "two" } # both\n']) expect(edited).toContain(part);
});

test('does not change what refers to the value', async () => {
  const text = 'model_path: &model /a.gguf\nmodels: [{ model_path: *model }]\n';
  const other = await editConfig(text, { within: ['models', 0], set: { model_path: '/b.gguf' } });
  expect(other).toBe('model_path: &model /a.gguf\nmodels: [{ model_path: /b.gguf }]\n');
  await expect(editConfig(text, { within: WHOLE, set: { model_path: '/b.gguf' } })).rejects.toThrow(
    'set model_path: "/b.gguf" by hand',
  );
});
