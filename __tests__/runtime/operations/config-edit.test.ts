import { load } from 'js-yaml';

import { editConfig } from '../../../runtime/src/operations/config-edit';

test('changes one line and leaves the rest, comments too, as it is', () => {
  const text = '# why\nmodel_path: /a.gguf # old\nnetwork:\n  model_path: 1\n';
  expect(editConfig(text, { model_path: '/b: c.gguf' })).toBe(
    '# why\nmodel_path: "/b: c.gguf"\nnetwork:\n  model_path: 1\n',
  );
});

test('adds a key that is not there', () => {
  expect(editConfig('a: 1', { model_name: 'x' })).toBe('a: 1\nmodel_name: "x"\n');
});

test.each(['{"model_path": "/a.gguf", "b": {"c": [1]}}', 'model_path: >\n  /a.gguf\nb: { c: [1] }\n'])(
  'writes anew what has no line of its own: %j',
  (text) => {
    expect(load(editConfig(text, { model_path: '/b.gguf' }))).toEqual({
      model_path: '/b.gguf',
      b: { c: [1] },
    });
  },
);
