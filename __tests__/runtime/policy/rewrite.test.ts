import { parsePolicy } from '../../../runtime/src/policy/read';
import { rewritePolicy } from '../../../runtime/src/policy/rewrite';

/** Of a person who cares how it looks. */
const TEXT = `# agreed with the works council, 2026-03
sessions:   { overall: 10,   per_token: 5 }   # see ticket 12

users:
  ada: { per_token: 2 } # batch jobs at night
words:
  # marketing asked for this
  - name: projects
    action: mask
    words: [blue heron, 敏感词]

  # from the lawyers
  - name: names
    action: block
    on: [input]
    words:
      - "ann" # until June
      - bob
      # the new one
      - 'carol'
`;
const policy = () => parsePolicy(TEXT, 300) as unknown as Record<string, unknown> & { words: Rule[] };
type Rule = { name: string; words: string[] } & Record<string, unknown>;
const rewritten = async (change: (value: ReturnType<typeof policy>) => void, text = TEXT) => {
  const value = policy();
  change(value);
  const after = await rewritePolicy(text, value, 300);
  expect(parsePolicy(after, 300)).toEqual(value);
  return after;
};

test('what changes nothing leaves every letter', async () => {
  expect(await rewritten(() => undefined)).toBe(TEXT);
});

test('one value is replaced where it stands, a new one comes beside it', async () => {
  expect(await rewritten((value) => (value['sessions'] = { overall: 10, per_token: 7 }))).toBe(
    TEXT.replace('per_token: 5', 'per_token: 7'),
  );
  const longest = { overall: 10, per_token: 5, longest_request_seconds: 60 };
  expect(await rewritten((value) => (value['sessions'] = longest))).toBe(
    TEXT.replace('per_token: 5', 'per_token: 5, longest_request_seconds: 60'),
  );
  expect(await rewritten(({ words }) => (words[1]!['action'] = 'mask'))).toBe(
    TEXT.replace('action: block', 'action: mask'),
  );
});

const COMMENTS = TEXT.match(/# .*/g)!;

test.each<[string, (value: ReturnType<typeof policy>) => void, RegExp[]]>([
  ['a word more', ({ words }) => words[1]!.words.push('dave'), []],
  ['a word less', ({ words }) => words[1]!.words.splice(0, 1), [/until June/]],
  [
    'another rule before them',
    ({ words }) => words.unshift({ name: 'x', action: 'mask', on: ['input'], match: 'word', words: ['y'] }),
    [],
  ],
  ['a rule less', ({ words }) => words.pop(), [/until June|lawyers|new one/]],
  ['the rules in another order', ({ words }) => words.reverse(), []],
  ['a rule of another name', ({ words }) => (words[1]!.name = 'people'), []],
  ['no limits', (value) => (value['sessions'] = {}), []],
  ['no exceptions', (value) => (value['users'] = {}), [/batch jobs/]],
  ['another user', (value) => Object.assign(value['users'] as object, { bob: { per_token: 1 } }), []],
])('keeps the comments of what stays: %s', async (_, change, gone) => {
  const after = await rewritten(change);
  const lost = COMMENTS.filter((comment) => !after.includes(comment));
  expect(lost.filter((comment) => !gone.some((pattern) => pattern.test(comment)))).toEqual([]);
  // What is there by default is not written out.
  expect(after).not.toContain('match: word\n    words: [');
});

test.each([
  ['nothing', ''],
  ['no YAML', 'words: ['],
  ['no policy', 'wordz: 1 # x\n'],
  ['a value that another refers to', 'sessions: &a { per_token: 5 } # x\nusers: { ada: *a }\n'],
])('where there was %s before, the whole text is new', async (_, before) => {
  const after = await rewritten((value) => (value['users'] = { ada: { per_token: 5 } }), before);
  expect(after).toMatch(/^# The access policy: limits and word rules. Written by bot/);
});

test('keeps the line ends of Windows', async () => {
  const text = TEXT.replaceAll('\n', '\r\n');
  const after = await rewritten(({ words }) => words[1]!.words.push('dave'), text);
  expect(after.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
});
