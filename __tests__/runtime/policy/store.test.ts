import {
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { LAST_FILE } from '../../../runtime/src/policy/last-in-force';
import { PolicyChanged, PolicyStore } from '../../../runtime/src/policy/store';
import { PolicyError } from '../../../runtime/src/policy/read';
import { temporaryFolder } from '../../support/temporary-folder';
import { until } from '../support/test-service';

const folder = temporaryFolder();
const file = () => join(folder(), 'policy.yaml');
/** In one step: the store may look at it at any time, and half a policy is another one. */
const write = (text: string) => {
  writeFileSync(`${file()}.new`, text);
  renameSync(`${file()}.new`, file());
};
let logged: string[];
let store: PolicyStore | undefined;
beforeEach(() => (logged = []));
afterEach(() => store?.close());

async function open(directory: string | undefined = folder()) {
  store = await PolicyStore.open({
    directory,
    maxRequestSeconds: 300,
    isService: true,
    log: (level, text) => logged.push(`${level} ${text}`),
  });
  store.follow();
  return store;
}

const WORDS = `words:
  - { name: names, action: mask, words: [ada, 敏感词] }
  - { name: bad, action: block, on: [input], words: [bad] }
`;

describe('the access policy', () => {
  test('is the default without a file: no limits but the configuration’s, no words', async () => {
    const policy = await open();
    expect(policy.policy).toEqual({ sessions: {}, users: {}, words: [] });
    expect(policy.limitsFor('ada')).toEqual({ overall: Infinity, perToken: Infinity, seconds: 300 });
    expect(policy.input.isEmpty && policy.output.isEmpty).toBe(true);
  });

  test('has limits in all, for each token, and for a user’s', async () => {
    write(
      'sessions: { overall: 8, per_token: 5, longest_request_seconds: 120 }\nusers:\n  ada: { per_token: 1 }\n',
    );
    const policy = await open();
    expect(policy.limitsFor('bob')).toEqual({ overall: 8, perToken: 5, seconds: 120 });
    expect(policy.limitsFor('ada')).toEqual({ overall: 8, perToken: 1, seconds: 120 });
    expect(policy.limitsFor('constructor')).toEqual({ overall: 8, perToken: 5, seconds: 120 });
  });

  test('applies each rule to the side it is for', async () => {
    write(WORDS);
    const policy = await open();
    expect((await policy.input.screen('Ada is bad')).blockedBy).toBe('bad');
    expect(await policy.output.screen('Ada is bad')).toMatchObject({
      text: '*** is bad',
      blockedBy: undefined,
    });
  });

  test('is in the log at the start, so that a change while the service was off shows; no word is', async () => {
    const before = await open();
    before.close();
    write(`sessions: { per_token: 5 }\n${WORDS}`);
    const { revision } = await open();
    expect(logged).toEqual([
      `SEC access policy ${before.revision} (the default) is in force: no limits but the configuration's, no word rules`,
      `SEC access policy ${revision} is in force: at most 5 requests at once with one token; 2 word rules with 3 words`,
    ]);
  });

  test('that was deleted while the service was off is named in the line of the start, once', async () => {
    const starts = async () => {
      logged = [];
      (await open()).close();
      return logged.map((line) => line.replace(/policy [0-9a-f]{16}/g, 'policy REVISION'));
    };
    const inForce = 'access policy REVISION (the default) is in force';
    const none = "no limits but the configuration's, no word rules";
    write('sessions: { per_token: 5 }\n');
    const { revision } = await open();
    store?.close();
    rmSync(file());
    // A command that looks at it is no start.
    const look = { directory: folder(), maxRequestSeconds: 300, log: () => undefined };
    await PolicyStore.open(look);
    logged = [];
    (await open()).close();
    expect(logged.join()).toContain(`deleted while the service was off, with access policy ${revision}; `);
    expect(readdirSync(folder())).toEqual([]);
    expect(await starts()).toEqual([`SEC ${inForce}: ${none}`]);

    write('sessions: { per_token: 6 }\n');
    const policy = await open();
    await policy.replace({ sessions: { per_token: 7 } });
    policy.close();
    rmSync(file());
    expect(await starts()).toEqual([
      `SEC ${file()} was deleted while the service was off, with access policy REVISION; ` +
        `${inForce} instead: ${none}`,
    ]);
  });

  test('that is deleted while the service runs is named then, and no news at the next start', async () => {
    write('sessions: { per_token: 5 }\n');
    const policy = await open();
    const { revision } = policy;
    expect(readdirSync(folder()).sort()).toEqual([LAST_FILE, 'policy.yaml']);
    logged = [];
    rmSync(file());
    await until(() => policy.policy.sessions.per_token === undefined);
    await until(() => !readdirSync(folder()).includes(LAST_FILE));
    expect(logged).toEqual([
      expect.stringMatching(
        new RegExp(
          `^SEC ${file()} was deleted, with access policy ${revision}; ` +
            'access policy \\w+ \\(the default\\) is in force instead: ',
        ),
      ),
    ]);
    policy.close();
    logged = [];
    await open();
    expect(logged.join()).not.toContain('deleted');
  });

  test('is in force, and the log says what is wrong, where it cannot be remembered', async () => {
    write('sessions: { per_token: 5 }\n');
    mkdirSync(join(folder(), LAST_FILE));
    const policy = await open();
    expect(logged[1]).toMatch(/^WRN cannot write \S+policy\.last: /);
    await policy.replace({ sessions: { per_token: 6 } });
    expect(policy.limitsFor(undefined).perToken).toBe(6);
    expect(logged.filter((line) => line.startsWith('WRN'))).toHaveLength(1);
  });

  test('is taken over when its file changes; the line tells no word', async () => {
    const policy = await open();
    logged = [];
    write(WORDS);
    await until(() => !policy.output.isEmpty);
    expect(logged).toEqual([
      expect.stringMatching(/^SEC access policy \w+ is in force.* 2 word rules with 3 words$/),
    ]);
    expect(logged.join()).not.toMatch(/\bada\b|敏感词/);
  });

  test('whose file is emptied is the default; the file is there', async () => {
    write('sessions: { per_token: 5 }\n');
    const policy = await open();
    logged = [];
    write('');
    await until(() => policy.policy.sessions.per_token === undefined);
    expect(logged).toEqual([expect.stringMatching(/^SEC access policy \w+ \(the default\) is in force: /)]);
  });

  test('a file that cannot be read for a while is no problem any more when it can', async () => {
    write(WORDS);
    const policy = await open();
    logged = [];
    // At once: without the file, the default would be in force.
    symlinkSync(folder(), `${file()}.new`);
    renameSync(`${file()}.new`, file());
    await until(() => policy.problem !== undefined);
    expect(logged).toEqual([
      expect.stringMatching(/^ERR .* cannot be used, the one before stays in force: .*EISDIR/),
    ]);
    write(WORDS);
    await until(() => policy.problem === undefined);
    expect(logged.at(-1)).toMatch(/^INF .*policy.yaml can be read again$/);
  });

  test('stays in force when the file is broken, and the log says why', async () => {
    write(WORDS);
    const policy = await open();
    logged = [];
    write('sessions: { per_tokn: 5 }\n');
    await until(() => logged.length === 1);
    expect(logged[0]).toMatch(/^ERR .*policy.yaml cannot be used, the one before stays in force/);
    expect(logged[0]).toContain('did you mean `sessions.per_token`?');
    expect(policy.problem).toContain('per_tokn');
    expect((await policy.output.screen('Ada')).text).toBe('***');
    write(WORDS.replace('ada', 'bob'));
    await until(() => policy.problem === undefined);
    expect((await policy.output.screen('Ada')).text).toBe('Ada');
  });

  test('is read again at once when it is told to', async () => {
    const policy = await open();
    write(WORDS);
    await policy.reload();
    expect(policy.output.isEmpty).toBe(false);
  });

  test('that is broken stops the start: no older one could stay in force', async () => {
    write('words: [');
    await expect(open()).rejects.toThrow(/line \d+, column \d+: not valid YAML/);
  });

  test('is replaced as a whole, in one step, and in force at once', async () => {
    const policy = await open();
    await policy.replace({ sessions: { per_token: 3 } }, policy.revision);
    expect(policy.limitsFor(undefined).perToken).toBe(3);
    expect(readFileSync(file(), 'utf8')).toContain('per_token: 3');
    expect(readdirSync(folder()).sort()).toEqual([LAST_FILE, 'policy.yaml']);
  });

  test('is not replaced by somebody who has seen an older one', async () => {
    const policy = await open();
    const { revision } = policy;
    await policy.replace({ sessions: { per_token: 3 } }, revision);
    await expect(policy.replace({}, revision)).rejects.toThrow(PolicyChanged);
    expect(policy.limitsFor(undefined).perToken).toBe(3);
  });

  test.each([
    [{ session: {} }, /`session` is not known; did you mean `sessions`/],
    [{ sessions: { per_token: 0 } }, /Expected `sessions.per_token` to be an integer from 1 to 1000, got 0/],
    [{ sessions: { longest_request_seconds: 301 } }, /an integer from 1 to 300, got 301/],
    [{ users: { 'a b': {} } }, /users.a b/],
    [
      { words: [{ name: 'x', action: 'drop', words: ['y'] }] },
      /`words\[0\].action` to be one of mask, block/,
    ],
    [{ words: [{ name: 'x', action: 'mask', words: [] }] }, /`words\[0\].words` to be a list of words/],
    [{ words: [{ name: 'x', action: 'mask', words: ['\u200b'] }] }, /`words\[0\].words\[0\]`/],
    [[], /should hold keys and values/],
  ])('refuses %j', async (value, message) => {
    const policy = await open();
    await expect(policy.replace(value)).rejects.toThrow(PolicyError);
    await expect(policy.replace(value)).rejects.toThrow(message);
    expect(readdirSync(folder())).toEqual([]);
  });
});

describe('a policy of thousands of words', () => {
  const many = (prefix: string) => ({
    words: [
      {
        name: 'many',
        action: 'mask',
        words: Array.from(
          { length: 5000 },
          (_, n) => `${prefix}敏${n.toString(36)}ä${(n * 7919).toString(36)}`,
        ),
      },
    ],
  });
  const hits = async (policy: PolicyStore, prefix: string) =>
    (await policy.input.screen(many(prefix).words[0]?.words[4999] ?? '')).hits.size;

  test('comes into force whole: until then the one before is', async () => {
    const policy = await open();
    await policy.replace(many('a'));
    const before = policy.input;
    const replaced = policy.replace(many('b'));
    await until(() => readFileSync(file(), 'utf8').includes('b敏'));
    expect(policy.input).toBe(before);
    await replaced;
    expect([await hits(policy, 'a'), await hits(policy, 'b')]).toEqual([0, 1]);
  });

  test('of two in quick succession the newer stays, whoever wrote it', async () => {
    const policy = await open();
    const first = policy.replace(many('a'));
    const second = policy.replace(many('b'));
    await Promise.all([first, second]);
    expect([await hits(policy, 'a'), await hits(policy, 'b')]).toEqual([0, 1]);
    const third = policy.replace(many('c'));
    await until(() => readFileSync(file(), 'utf8').includes('c敏'));
    write(JSON.stringify(many('d')));
    await third;
    await policy.reload();
    expect([await hits(policy, 'c'), await hits(policy, 'd')]).toEqual([0, 1]);
  });
});
