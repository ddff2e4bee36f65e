/** Schemas as the clients' own helpers make them: what zod's `z.int()` and its kin become in a request. */
import { zodResponseFormat } from 'openai/helpers/zod';
import { z, type ZodType } from 'zod';
import { SchemaGrammar } from '../../../runtime/src/grammar/schema-grammar';
import { matchesOf } from '../support/grammar-checker';

/** The schema of one value: the helper takes objects only. */
function schemaOf(type: ZodType): unknown {
  const { schema } = zodResponseFormat(z.object({ it: type }), 'answer').json_schema;
  return schema;
}

/** Of each type: values that its grammar lets through, and others that it does not. */
const CASES: readonly [
  what: string,
  type: ZodType,
  valid: readonly unknown[],
  invalid: readonly unknown[],
][] = [
  ['any integer', z.int(), [0, -7, 999_999_999_999_999], [1.5, '1', Number.MAX_SAFE_INTEGER + 1]],
  ['a positive integer', z.number().int().positive(), [1, 12], [0, -1]],
  ['an integer or null', z.int().nullable(), [3, null], [0.5]],
  ['large integers', z.int().min(1e15), [1e15], [1e15 - 1, Number.MAX_SAFE_INTEGER + 1]],
  ['an e-mail address', z.email(), ['a.b+c@example.com'], ['a..b@example.com', 'a', '.a@example.com']],
  ['the old way to one', z.string().email(), ['a@b.example.org'], ['a@b']],
  [
    'an address of one host',
    z.email({ pattern: /^[a-z]+@example\.com$/ }),
    ['me@example.com'],
    ['me@example.org'],
  ],
  ['a UUID', z.uuid(), ['123e4567-e89b-12d3-a456-426614174000'], ['123e4567-e89b-02d3-a456-426614174000']],
  [
    'a UUID of version 4',
    z.uuidv4(),
    ['123e4567-e89b-42d3-a456-426614174000'],
    ['123e4567-e89b-12d3-a456-426614174000'],
  ],
  [
    'a time in UTC',
    z.iso.datetime(),
    ['2024-02-29T23:59:59.5Z'],
    ['2023-02-29T00:00:00Z', '2024-01-01T00:00:00+01:00'],
  ],
  [
    'a time anywhere',
    z.iso.datetime({ offset: true }),
    ['2024-01-01T00:00:00+01:00'],
    ['2024-01-01T00:00:00'],
  ],
  ['a day', z.iso.date(), ['2000-02-29', '2026-12-31'], ['1900-02-29', '2026-04-31', '2026-1-1']],
  ['a time of day', z.iso.time(), ['12:30', '12:30:59.25'], ['24:00', '12:30Z']],
  ['a duration', z.iso.duration(), ['P3W', 'P1DT2H', 'PT5M'], ['P', 'PT', '1D', 'P1WT1H']],
  ['an IPv4 address', z.ipv4(), ['127.0.0.1'], ['256.0.0.1']],
  ['an IPv6 address', z.ipv6(), ['::1', '2001:db8::8a2e:370:7334', '1:2:3:4:5:6:7:8'], ['1:2', 'g::']],
  ['a host', z.hostname(), ['example.com', 'a-b.c'], ['-a.com', 'a..b', `${'x'.repeat(60)}.`.repeat(5)]],
  ['a ULID', z.ulid(), ['01ARZ3NDEKTSV4RRFFQ69G5FAV'], ['01ARZ3']],
  ['a network', z.cidrv4(), ['10.0.0.0/8'], ['10.0.0.0']],
  [
    'a URL',
    z.url(),
    ['https://example.com', 'http://a-b.example.com:8080/x/%20?q=1#top'],
    ['example.com', 'https://a b.com', 'https://xn--a.com', 'https://1.2.3.999'],
  ],
  ['a web address', z.httpUrl(), ['https://example.com/'], ['https://localhost', 'ftp://example.com']],
  [
    'a discriminated union',
    z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('a'), n: z.int() }),
      z.object({ kind: z.enum(['b', 'c']), s: z.string() }),
    ]),
    [
      { kind: 'a', n: 1 },
      { kind: 'c', s: '' },
    ],
    [
      { kind: 'b', n: 1 },
      { kind: 'd', s: '' },
    ],
  ],
  [
    'a union of unions or null',
    z
      .discriminatedUnion('t', [
        z.discriminatedUnion('s', [
          z.object({ t: z.literal(1), s: z.literal(1) }),
          z.object({ t: z.literal(1), s: z.literal(2) }),
        ]),
        z.object({ t: z.literal(2) }),
      ])
      .nullable(),
    [{ t: 1, s: 2 }, { t: 2 }, null],
    [{ t: 1 }, { t: 3 }],
  ],
  ['a map', z.record(z.string(), z.number()), [{}, { a: 1, b: 0.5 }], [{ a: 'x' }]],
  [
    'a map from an enum',
    z.record(z.enum(['a', 'b']), z.boolean()),
    [{ a: true, b: false }],
    [{ a: true }, { a: true, b: true, c: true }, {}],
  ],
  [
    'a map from some of an enum',
    z.partialRecord(z.enum(['a', 'b']), z.boolean()),
    [{ a: true }, {}, { b: false }],
    [{ c: true }, { a: 1 }],
  ],
  ['a tuple', z.tuple([z.string(), z.boolean()]), [['x', true]], [['x'], [true, 'x'], ['x', true, 1]]],
  ['any float', z.float32(), [0.5, -3e3], ['x']],
];

test("what zod's helpers write is accepted, and its answers are what zod accepts", () => {
  const questions = CASES.map(([, type, valid, invalid]) => {
    const grammar = new SchemaGrammar(schemaOf(type));
    return {
      grammar: grammar.rules.toText(grammar.expression()),
      texts: [...valid, ...invalid].map((it) => JSON.stringify({ it })),
    };
  });
  const answers = matchesOf(questions);
  const wrong = CASES.flatMap(([what, type, valid, invalid], index) => {
    const answer = answers[index] ?? 'no answer';
    if (typeof answer === 'string') return [`${what}: ${answer}`];
    return [...valid, ...invalid].flatMap((it, at) => {
      const problems: string[] = [];
      if (answer[at] !== at < valid.length) problems.push(`${what}: ${JSON.stringify(it)} is ${answer[at]}`);
      if (answer[at] === true && !type.safeParse(it).success)
        problems.push(`${what}: zod refuses ${JSON.stringify(it)}`);
      return problems;
    });
  });
  expect(wrong).toEqual([]);
});

/** What libraries write that are not installed here, or are of another language. */
const OTHERS: readonly [
  what: string,
  schema: object,
  valid: readonly string[],
  invalid: readonly string[],
][] = [
  [
    "zod 4.0's e-mail address",
    {
      format: 'email',
      pattern:
        "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$",
    },
    ['a.b+c@x-y.example.com', '0_-@a.bc'],
    ['a..b@example.com', '.a@example.com', 'a.@example.com'],
  ],
  [
    "zod 4.0's IPv6 address",
    {
      format: 'ipv6',
      pattern: '^(([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|::|([0-9a-fA-F]{1,4})?::([0-9a-fA-F]{1,4}:?){0,6})$',
    },
    ['1:2:3:4:5:6:7:8'],
    ['1::2:'],
  ],
  ["pydantic's Decimal", { pattern: '^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$' }, ['0', '-12.50'], ['', '-', '.']],
  [
    "pydantic's HttpUrl",
    { format: 'uri', minLength: 1, maxLength: 2083 },
    ['https://example.com/a?b#c', `http://a.example.com/${'x'.repeat(300)}`],
    ['', 'x', `http://a.example.com/${'x'.repeat(301)}`],
  ],
  [
    "pydantic's date",
    { format: 'date' },
    ['2024-02-29', '0001-01-01'],
    ['2023-02-29', '0000-01-01', '2023-06-31'],
  ],
];

/** pydantic's union with a `Field(discriminator='kind')`. */
const DISCRIMINATED = {
  $defs: {
    Cat: {
      type: 'object',
      properties: { kind: { const: 'cat', title: 'Kind', type: 'string' }, lives: { type: 'integer' } },
      required: ['kind', 'lives'],
    },
    Dog: { type: 'object', properties: { kind: { const: 'dog', type: 'string' } }, required: ['kind'] },
  },
  discriminator: { mapping: { cat: '#/$defs/Cat', dog: '#/$defs/Dog' }, propertyName: 'kind' },
  oneOf: [{ $ref: '#/$defs/Cat' }, { $ref: '#/$defs/Dog' }],
};

test("pydantic's discriminated union is accepted", () => {
  const grammar = new SchemaGrammar(DISCRIMINATED);
  const texts = ['{"kind":"cat","lives":9}', '{"kind":"dog"}', '{"kind":"dog","lives":9}', '{"kind":"cow"}'];
  expect(matchesOf([{ grammar: grammar.rules.toText(grammar.expression()), texts }])).toEqual([
    [true, true, false, false],
  ]);
});

test('what other libraries write is accepted, and its answers match', () => {
  const questions = OTHERS.map(([, schema, valid, invalid]) => {
    const grammar = new SchemaGrammar({ type: 'string', ...schema });
    return {
      grammar: grammar.rules.toText(grammar.expression()),
      texts: [...valid, ...invalid].map((text) => JSON.stringify(text)),
    };
  });
  expect(matchesOf(questions)).toEqual(
    OTHERS.map(([, , valid, invalid]) => [...valid.map(() => true), ...invalid.map(() => false)]),
  );
  for (const [, schema, valid] of OTHERS) {
    if ('pattern' in schema)
      for (const text of valid) expect(text).toMatch(new RegExp(String(schema.pattern)));
  }
});
