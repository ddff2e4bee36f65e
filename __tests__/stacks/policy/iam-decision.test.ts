import { type Context, decide, type Policy } from './iam-decision';

const BUCKET = 'arn:aws:s3:::a-bucket';

/** One statement: by default everything is allowed. */
function policy(changes: Readonly<Record<string, unknown>> = {}): Policy {
  return { Statement: [{ Effect: 'Allow', Action: '*', Resource: '*', ...changes }] };
}

function ask(
  policies: readonly Policy[],
  action = 's3:GetObject',
  resource = `${BUCKET}/a/b`,
  context: Context = {},
) {
  return decide({ action, resource, context }, policies);
}

describe('decide', () => {
  it('denies what nobody allows, and what somebody denies, in whatever order', () => {
    const deny = policy({ Effect: 'Deny' });
    expect(ask([])).toBe('ImplicitlyDenied');
    expect(ask([policy()])).toBe('Allowed');
    expect(ask([policy(), deny])).toBe('ExplicitlyDenied');
    expect(ask([deny, policy()])).toBe('ExplicitlyDenied');
    expect(ask([policy({ Effect: 'Deny', Action: 's3:PutObject' }), policy()])).toBe('Allowed');
    expect(ask([{ Statement: { Effect: 'Allow', Action: '*', Resource: '*' } }])).toBe('Allowed');
  });

  it.each([
    ['s3:GetObject', 'Allowed'],
    ['S3:getobject', 'Allowed'],
    ['s3:Get*', 'Allowed'],
    ['s3:GetObjec?', 'Allowed'],
    ['*', 'Allowed'],
    [['s3:PutObject', 's3:GetObject'], 'Allowed'],
    ['s3:Get', 'ImplicitlyDenied'],
    ['s3:GetObject?', 'ImplicitlyDenied'],
    ['ec2:*', 'ImplicitlyDenied'],
    ['s3.GetObject', 'ImplicitlyDenied'],
    [[], 'ImplicitlyDenied'],
  ])('takes the action %p for s3:GetObject: %s', (action, decision) => {
    expect(ask([policy({ Action: action })])).toBe(decision);
  });

  it.each([
    [`${BUCKET}/a/b`, 'Allowed'],
    [`${BUCKET}/*`, 'Allowed'],
    [`${BUCKET}/?/b`, 'Allowed'],
    ['arn:*:s3:*:*:a-bucket/*', 'Allowed'],
    [['arn:aws:s3:::other/*', `${BUCKET}/a/*`], 'Allowed'],
    [`${BUCKET}/A/b`, 'ImplicitlyDenied'],
    [BUCKET, 'ImplicitlyDenied'],
    [`${BUCKET}/a`, 'ImplicitlyDenied'],
    // No wildcard reaches from one part of an ARN into the next.
    ['arn:*:a-bucket/a/b', 'ImplicitlyDenied'],
    ['arn:aws:s*', 'ImplicitlyDenied'],
  ])('takes the resource %p for an object: %s', (resource, decision) => {
    expect(ask([policy({ Resource: resource })])).toBe(decision);
  });

  it('knows that names of the last part have colons in them', () => {
    const group = 'arn:aws:logs:us-east-1:123456789012:log-group:/bot';
    expect(ask([policy({ Resource: `${group}:*` })], 'logs:PutLogEvents', `${group}:log-stream:a`)).toBe(
      'Allowed',
    );
  });

  it.each([
    [{ StringEquals: { key: 'a' } }, { key: 'a' }, 'Allowed'],
    [{ StringEquals: { key: ['b', 'a'] } }, { key: 'a' }, 'Allowed'],
    [{ StringEquals: { key: 'a' } }, { key: 'A' }, 'ImplicitlyDenied'],
    [{ StringEquals: { key: 'a*' } }, { key: 'ab' }, 'ImplicitlyDenied'],
    [{ StringEquals: { key: 'a' } }, {}, 'ImplicitlyDenied'],
    [{ StringEquals: { key: 'a', other: 'b' } }, { key: 'a' }, 'ImplicitlyDenied'],
    [{ StringEquals: { key: 'a' }, Bool: { tls: 'true' } }, { key: 'a', tls: 'false' }, 'ImplicitlyDenied'],
    [{ Bool: { tls: 'false' } }, { tls: 'False' }, 'Allowed'],
    [{ Bool: { tls: 'false' } }, {}, 'ImplicitlyDenied'],
    [{ 'ForAllValues:StringEquals': { keys: ['a', 'b'] } }, { keys: ['b'] }, 'Allowed'],
    [{ 'ForAllValues:StringEquals': { keys: ['a'] } }, { keys: ['a', 'b'] }, 'ImplicitlyDenied'],
    [{ 'ForAllValues:StringEquals': { keys: ['a'] } }, {}, 'Allowed'],
  ] as const)('holds %j against %j: %s', (condition, context, decision) => {
    expect(ask([policy({ Condition: condition })], undefined, undefined, context)).toBe(decision);
  });

  it.each([
    [{ NotAction: 's3:*' }, 'cannot judge NotAction'],
    [{ Principal: { Service: 'lambda.amazonaws.com' } }, 'cannot judge Principal'],
    [{ Resource: `${BUCKET}/\${aws:username}` }, 'cannot judge a policy variable'],
    [{ Condition: { StringLike: { key: 'a' } } }, 'cannot judge the condition operator StringLike'],
    [{ Condition: { StringEquals: { key: 'a' } } }, 'cannot judge several'],
    [{ Effect: 'allow' }, 'Effect allow is none'],
  ])('refuses to judge %j', (changes, message) => {
    const judge = () => ask([policy(changes)], undefined, undefined, { key: ['a'] });
    expect(judge).toThrow(message);
  });
});
