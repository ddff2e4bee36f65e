import { SchemaError } from '../../../runtime/src/grammar/schema-error';
import { SchemaGrammar } from '../../../runtime/src/grammar/schema-grammar';
import type { JsonSchema } from '../../../runtime/src/grammar/schema-reading';
import { matchesOf } from '../support/grammar-checker';

function grammarOf(schema: unknown): string {
  const grammar = new SchemaGrammar(schema);
  return grammar.rules.toText(grammar.expression());
}

const person = {
  type: 'object',
  properties: {
    name: { type: 'string' },
    age: { type: 'integer', minimum: 0, maximum: 150 },
    mail: { type: 'string' },
  },
  required: ['name', 'age'],
  additionalProperties: false,
};
const tree = {
  $ref: '#/$defs/node',
  $defs: {
    node: {
      type: 'object',
      properties: {
        value: { type: 'integer' },
        next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] },
      },
      required: ['value', 'next'],
      additionalProperties: false,
    },
  },
};
const string = (rules: object) => ({ type: 'string', ...rules });
const number = (rules: object) => ({ type: 'number', ...rules });
const integer = (rules: object) => ({ type: 'integer', ...rules });

/** Of each schema: what it lets through, and what it does not. */
const CASES: readonly [
  what: string,
  schema: JsonSchema,
  valid: readonly string[],
  invalid: readonly string[],
][] = [
  [
    'anything',
    true,
    ['1', '"a"', '[1, {"a": null}]', '{}', '-1.5e3', 'true'],
    ['', 'nul', '01', '{"a"}', '1 2'],
  ],
  [
    'an object with an optional member',
    person,
    ['{"name":"A","age":1}', '{"name": "A", "age": 150, "mail": "m"}'],
    [
      '{"age":1,"name":"A"}',
      '{"name":"A"}',
      '{"name":"A","age":151}',
      '{"name":"A","age":1,"x":1}',
      '{"name":"A","age":1,}',
    ],
  ],
  [
    'only optional members',
    { type: 'object', properties: { a: { const: 1 }, b: { const: 2 }, c: { const: 3 } } },
    ['{}', '{"a":1}', '{"b":2}', '{"c":3}', '{"a":1,"c":3}', '{"a":1,"b":2,"c":3}'],
    ['{,}', '{"b":2,"a":1}', '{"a":2}', '{"a":1 "b":2}'],
  ],
  [
    'further members of one kind',
    { type: 'object', properties: { ab: { type: 'integer' } }, additionalProperties: { type: 'boolean' } },
    ['{}', '{"ab":1}', '{"ab":1,"x":true}', '{"a":true}', '{"abc":true,"":false}', '{"ac":true}'],
    ['{"ab":true}', '{"x":1}', '{"ab":1,"ab":true}'],
  ],
  [
    'a map',
    { type: 'object', additionalProperties: { type: 'integer' } },
    ['{}', '{"a":1,"b":2}'],
    ['{"a":"b"}'],
  ],
  [
    'itself',
    tree as JsonSchema,
    ['{"value":1,"next":{"value":2,"next":null}}'],
    ['{"value":1,"next":{}}', 'null'],
  ],
  ['itself from the root', { type: 'array', items: { $ref: '#' } }, ['[]', '[[],[[]]]'], ['[1]']],
  ['alternatives', { anyOf: [integer({}), string({ maxLength: 2 })] }, ['12', '"ab"'], ['"abc"', 'null']],
  [
    'one of several types',
    { oneOf: [integer({}), string({}), { type: ['null', 'boolean'] }] } as JsonSchema,
    ['1', '"a"', 'true', 'null'],
    ['1.5', '[]'],
  ],
  ['several types', { type: ['string', 'null'], maxLength: 1 } as JsonSchema, ['"a"', 'null'], ['"ab"', '1']],
  ['an enum', { enum: ['a"b', 2, null, { x: [1] }] }, ['"a\\"b"', '2', 'null', '{"x":[1]}'], ['"a"', '{}']],
  ['a typed enum', { type: 'string', enum: ['a', 1] }, ['"a"'], ['1']],
  ['a const', { const: true }, ['true'], ['false']],
  [
    'lists',
    { type: 'array', items: integer({}), minItems: 2, maxItems: 3 },
    ['[1,2]', '[1, 2, 3]'],
    ['[]', '[1]', '[1,2,3,4]'],
  ],
  [
    'a list of one',
    { type: 'array', items: integer({}), minItems: 1, maxItems: 1 },
    ['[1]'],
    ['[]', '[1,2]'],
  ],
  [
    'a tuple',
    { type: 'array', prefixItems: [{ type: 'integer' }, { type: 'string' }], items: false },
    ['[1,"a"]'],
    ['[1]', '["a",1]'],
  ],
  [
    'lengths',
    string({ minLength: 2, maxLength: 3 }),
    ['"ab"', '"é漢😀"', '"\\n\\""'],
    ['"a"', '"abcd"', '"a\nb"'],
  ],
  [
    'great lengths',
    string({ minLength: 1, maxLength: 2500 }),
    [`"${'x'.repeat(2500)}"`, '"x"'],
    ['""', `"${'x'.repeat(2501)}"`],
  ],
  [
    'a pattern',
    string({ pattern: '^[A-Z]{2}-\\d{3,4}(x|y)?$' }),
    ['"AB-123"', '"AB-1234y"'],
    ['"AB-12"', '"aB-123"', '"AB-123z"'],
  ],
  ['a pattern anywhere', string({ pattern: 'ab+' }), ['"xxabbx"', '"ab"'], ['"a"']],
  [
    'a pattern with quotes',
    string({ pattern: '^["\\\\./^-][^"a-c]$' }),
    ['"\\"d"', '"\\\\d"', '"-\\n"'],
    ['"\\"a"', '"\\"\\""', '""d"'],
  ],
  [
    'a pattern of alternatives',
    string({ pattern: '^(?:cat|dog)s?$|^fish$' }),
    ['"cats"', '"fish"'],
    ['"fishs"', '"cat dog"'],
  ],
  ['dates', string({ format: 'date' }), ['"2026-02-28"'], ['"2026-13-01"', '"26-01-01"']],
  [
    'times',
    string({ format: 'date-time' }),
    ['"2026-02-28T23:59:59Z"', '"2026-02-28T00:00:00.5+02:00"'],
    ['"2026-02-28"'],
  ],
  ['UUIDs', string({ format: 'uuid' }), ['"123e4567-e89b-12d3-a456-426614174000"'], ['"123"']],
  ['addresses', string({ format: 'ipv4' }), ['"127.0.0.1"', '"255.255.255.255"'], ['"256.0.0.1"', '"1.2.3"']],
  ['mail', string({ format: 'email' }), ['"a.b@example.com"'], ['"a.b"', '"@x.com"']],
];

/** Bounds, tried on every number near them: the grammar must say what arithmetic says. */
const BOUNDS: readonly (readonly [schema: JsonSchema, holds: (value: number) => boolean])[] = [
  [integer({ minimum: 0, maximum: 9 }), (n) => n >= 0 && n <= 9],
  [integer({ minimum: -17, maximum: 123 }), (n) => n >= -17 && n <= 123],
  [integer({ minimum: 98 }), (n) => n >= 98],
  [integer({ maximum: -3 }), (n) => n <= -3],
  [integer({ exclusiveMinimum: 5, exclusiveMaximum: 105 }), (n) => n > 5 && n < 105],
  [integer({ minimum: 1.5, maximum: 20.5 }), (n) => n >= 1.5 && n <= 20.5],
  [integer({}), () => true],
];
const DECIMALS: readonly (readonly [schema: JsonSchema, holds: (value: number) => boolean])[] = [
  [number({ minimum: 0, maximum: 1 }), (n) => n >= 0 && n <= 1],
  [number({ minimum: -1.25, maximum: 2.5 }), (n) => n >= -1.25 && n <= 2.5],
  [number({ exclusiveMinimum: 0 }), (n) => n > 0],
  [number({ exclusiveMinimum: -1, exclusiveMaximum: 1 }), (n) => n > -1 && n < 1],
  [number({ minimum: 0.05, exclusiveMaximum: 0.3 }), (n) => n >= 0.05 && n < 0.3],
  [number({ exclusiveMinimum: 0.05, maximum: 0.055 }), (n) => n > 0.05 && n <= 0.055],
  [number({ maximum: -0.5 }), (n) => n <= -0.5],
  [number({ minimum: 1.5, maximum: 1.5 }), (n) => n === 1.5],
  [number({ exclusiveMinimum: 1, exclusiveMaximum: 2 }), (n) => n > 1 && n < 2],
];
const wholes = Array.from({ length: 400 }, (_, at) => String(at - 150)).concat('1000', '99999', '-4000');
const decimals = Array.from({ length: 900 }, (_, at) => ((at - 450) / 150).toFixed(3))
  .concat(Array.from({ length: 121 }, (_, at) => ((at - 60) / 20).toString()))
  .concat('7', '12.5', '-9', '-12.75', '0.054', '0.0501', '0.05', '0.3', '0.29999', '-0.5', '-0.4999')
  // Minus nothing is written without the minus.
  .filter((text) => !/^-0(\.0+)?$/.test(text));

test('a grammar lets through what the schema allows, and nothing else', () => {
  const questions = [
    ...CASES.map(([what, schema, valid, invalid]) => ({
      what,
      schema,
      texts: [...valid, ...invalid],
      expected: [...valid.map(() => true), ...invalid.map(() => false)],
    })),
    ...BOUNDS.map(([schema, holds]) => ({
      what: JSON.stringify(schema),
      schema,
      texts: wholes,
      expected: wholes.map((text) => holds(Number(text))),
    })),
    ...DECIMALS.map(([schema, holds]) => ({
      what: JSON.stringify(schema),
      schema,
      texts: decimals,
      expected: decimals.map((text) => holds(Number(text))),
    })),
  ];
  const answers = matchesOf(questions.map(({ schema, texts }) => ({ grammar: grammarOf(schema), texts })));
  const wrong = questions.flatMap(({ what, texts, expected }, index) => {
    const answer = answers[index] ?? 'no answer';
    if (typeof answer === 'string') return [`${what}: ${answer}`];
    return texts.flatMap((text, at) =>
      answer[at] === expected[at]
        ? []
        : [`${what}: ${text.slice(0, 60)} should be ${expected[at] === true ? 'valid' : 'invalid'}`],
    );
  });
  expect(wrong).toEqual([]);
});

test.each<[string, unknown, string, RegExp]>([
  ['multipleOf', { type: 'integer', multipleOf: 5 }, 'multipleOf', /not supported/],
  ['oneOf of what may overlap', { oneOf: [true, { type: 'null' }] }, 'oneOf', /use `anyOf`/],
  ['oneOf of both kinds of number', { oneOf: [{ type: 'integer' }, { type: 'number' }] }, 'oneOf', /anyOf/],
  [
    'oneOf by a property that may be missing',
    { oneOf: [1, 2].map((value) => ({ type: 'object', properties: { a: { const: value } } })) },
    'oneOf',
    /anyOf/,
  ],
  ['oneOf by overlapping enums', { oneOf: [{ enum: ['a', 'b'] }, { enum: ['b', 'c'] }] }, 'oneOf', /anyOf/],
  [
    'oneOf of unions without end',
    {
      $defs: { a: { anyOf: Array.from({ length: 200 }, () => ({ $ref: '#/$defs/a' })) } },
      oneOf: [{ $ref: '#/$defs/a' }, { $ref: '#/$defs/a' }],
    },
    'oneOf',
    /anyOf/,
  ],
  [
    'a rule for names',
    { type: 'object', propertyNames: { type: 'string', minLength: 2 } },
    'propertyNames.minLength',
    /for names/,
  ],
  [
    'listed names beside properties',
    { type: 'object', properties: { a: true }, propertyNames: { enum: ['a'] } },
    'propertyNames',
    /beside `properties`/,
  ],
  [
    'additionalItems alone',
    { type: 'array', items: { type: 'null' }, additionalItems: false },
    'additionalItems',
    /list of `items`/,
  ],
  [
    'a tuple with more',
    { type: 'array', items: [{ type: 'null' }], additionalItems: true },
    'items',
    /set `additionalItems` to false/,
  ],
  [
    'a keyword deep inside',
    { type: 'object', properties: { a: { type: 'array', uniqueItems: true } } },
    'properties.a.uniqueItems',
    /not supported/,
  ],
  ['a keyword of another type', { type: 'string', minimum: 1 }, 'minimum', /not supported for string/],
  ['patternProperties', { type: 'object', patternProperties: {} }, 'patternProperties', /not supported/],
  ['an unknown type', { type: 'text' }, 'type', /one of object, array/],
  ['an unknown format', { type: 'string', format: 'color' }, 'format', /known are date/],
  ['look-ahead', { type: 'string', pattern: '^(?=a)b' }, 'pattern', /looks ahead/],
  ['look-ahead beside a format', { type: 'string', format: 'email', pattern: '^(?=a)b' }, 'pattern', /ahead/],
  ['a length beside a pattern', { type: 'string', pattern: 'a', maxLength: 9 }, 'pattern', /another rule/],
  ['a length beside a format', { type: 'string', format: 'uri', maxLength: 9 }, 'format', /another rule/],
  ['a broken pattern', { type: 'string', pattern: '(a' }, 'pattern', /without a `\)`/],
  ['siblings of anyOf', { anyOf: [true], properties: {} }, 'properties', /beside `anyOf`/],
  ['a reference to elsewhere', { $ref: 'https://example.com/s' }, '$ref', /begin with `#`/],
  ['a reference to nothing', { $ref: '#/$defs/x' }, '$ref', /not in the schema/],
  ['a reference to itself', { $ref: '#' }, '$ref', /leads back to itself/],
  [
    'a loop of references',
    { $ref: '#/$defs/a', $defs: { a: { anyOf: [{ $ref: '#/$defs/b' }] }, b: { $ref: '#/$defs/a' } } },
    '$defs.b.$ref',
    /leads back/,
  ],
  ['no value', { type: 'integer', minimum: 2, maximum: 1 }, '', /no number at all/],
  ['an impossible enum', { type: 'string', enum: [1] }, '', /no value/],
  [
    'an undeclared required member',
    { type: 'object', properties: {}, required: ['a'], additionalProperties: false },
    'required',
    /`a`, which is not/,
  ],
  ['a negative length', { type: 'string', minLength: -1 }, 'minLength', /from 0 to/],
  ['no schema', 'x', '', /JSON schema/],
  [
    'a thousand and one values',
    { enum: Array.from({ length: 1001 }, (_, at) => at) },
    'enum',
    /at most 1000/,
  ],
  ['a long pattern', { type: 'string', pattern: '('.repeat(100_000) }, 'pattern', /at most 1000/],
  [
    'very many names',
    {
      type: 'object',
      properties: Object.fromEntries(
        Array.from({ length: 300 }, (_, at) => [`${at}-${'x'.repeat(200)}`, true]),
      ),
      additionalProperties: true,
    },
    '',
    /too large/,
  ],
  [
    'a very long name',
    { type: 'object', properties: { ['x'.repeat(100_000)]: true }, additionalProperties: true },
    'properties',
    /at most 256/,
  ],
  ['great depth', JSON.parse('{"items":'.repeat(100) + 'true' + '}'.repeat(100)), 'items', /deeper/],
])('%s is refused, with its place', (_what, schema, place, reason) => {
  let refusal: SchemaError | undefined;
  try {
    grammarOf(schema);
  } catch (error) {
    refusal = error as SchemaError;
  }
  expect(refusal).toBeInstanceOf(SchemaError);
  if (place !== 'items') expect(refusal!.path.join('.')).toBe(place);
  expect(refusal!.reason).toMatch(reason);
});
