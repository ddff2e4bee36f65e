/** What the roles may do and may not, judged the way IAM judges, not by comparing texts. */

import { STATE_KEYS } from '../../../stacks/constructs/artifacts';
import { BUNDLE, MODEL, synthesise, type Synthesised } from '../synthesised';
import { type Context, decide, type Decision, type Policy } from './iam-decision';

const ACCOUNT = '123456789012';
const BUCKET = 'bot-artifacts-0001';
const SECRET = `arn:aws:secretsmanager:us-east-1:${ACCOUNT}:secret:bot-api-key-0001-AbCdEf`;

const ARNS: Readonly<Record<string, string>> = {
  aws_s3_bucket: `arn:aws:s3:::${BUCKET}`,
  aws_secretsmanager_secret: SECRET,
  aws_cloudwatch_log_group: `arn:aws:logs:us-east-1:${ACCOUNT}:log-group:/botstack/bot/service`,
  aws_sns_topic: `arn:aws:sns:us-east-1:${ACCOUNT}:bot-alerts`,
};

type Request = readonly [action: string, resource: string];

/** A policy of the stack with ARNs in place of Terraform's references to them. */
function policyOf(text: unknown): Policy {
  const filled = String(text).replace(/\$\{([a-z0-9_]+)\.[^}]+\.arn\}/g, (reference, type: string) => {
    const arn = ARNS[type];
    if (arn === undefined) throw new Error(`no ARN stands in for ${reference}`);
    return arn;
  });
  return JSON.parse(filled) as Policy;
}

function ask([action, resource]: Request, policies: readonly Policy[], context: Context = {}): Decision {
  return decide({ action, resource, context: { 'aws:SecureTransport': 'true', ...context } }, policies);
}

/** The policies of a role, named by its construct. */
function policiesOf(stack: Synthesised, construct: string): Policy[] {
  const policies = stack
    .all('aws_iam_role_policy')
    .filter(({ role }) => String(role).includes(`${construct}_role`))
    .map(({ policy }) => policyOf(policy));
  expect(policies).toHaveLength(1);
  return policies;
}

const bucketPolicy = (stack: Synthesised) => policyOf(stack.one('aws_s3_bucket_policy')['policy']);

function machinePolicies(stack: Synthesised): Policy[] {
  return [...policiesOf(stack, 'identity'), bucketPolicy(stack)];
}

const object = (key: string) => `arn:aws:s3:::${BUCKET}/${key}`;

const ALLOWED: readonly Request[] = [
  ['secretsmanager:GetSecretValue', SECRET],
  ['s3:GetObject', object(`bundles/${BUNDLE.sha256}.tar.gz`)],
  ['s3:GetObject', object(`models/${MODEL.sha256}.gguf`)],
  ['s3:PutObject', object('reports/i-0123456789abcdef0.json')],
  ...STATE_KEYS.flatMap((key): Request[] => [
    ['s3:GetObject', object(key)],
    ['s3:PutObject', object(key)],
  ]),
  ['ssm:UpdateInstanceInformation', `arn:aws:ec2:us-east-1:${ACCOUNT}:instance/i-0123456789abcdef0`],
  ['ssmmessages:OpenDataChannel', '*'],
  [
    'logs:PutLogEvents',
    `arn:aws:logs:us-east-1:${ACCOUNT}:log-group:/botstack/bot/service:log-stream:i-0123456789abcdef0`,
  ],
];

const logGroup = (name: string) => `arn:aws:logs:us-east-1:${ACCOUNT}:log-group:${name}`;

const DENIED: readonly Request[] = [
  ['logs:PutLogEvents', `${logGroup('/somebody/else')}:log-stream:i-0123456789abcdef0`],
  ['logs:GetLogEvents', `${logGroup('/botstack/bot/service')}:log-stream:i-0123456789abcdef0`],
  ['logs:DeleteLogGroup', logGroup('/botstack/bot/service')],
  ['cloudwatch:PutMetricData', '*'],
  ['route53:ChangeResourceRecordSets', 'arn:aws:route53:::hostedzone/Z0123456789ABCDEFGHIJ'],
  ['secretsmanager:GetSecretValue', `arn:aws:secretsmanager:us-east-1:${ACCOUNT}:secret:other-AbCdEf`],
  ['secretsmanager:PutSecretValue', SECRET],
  ['secretsmanager:DeleteSecret', SECRET],
  ['s3:GetObject', object(`bundles/${'0'.repeat(64)}.tar.gz`)],
  ['s3:GetObject', object('reports/i-0123456789abcdef0.json')],
  ['s3:GetObject', `arn:aws:s3:::another-bucket/bundles/${BUNDLE.sha256}.tar.gz`],
  ['s3:PutObject', object(`bundles/${BUNDLE.sha256}.tar.gz`)],
  ['s3:PutObject', object(`models/${MODEL.sha256}.gguf`)],
  ['s3:DeleteObject', object('reports/i-0123456789abcdef0.json')],
  ['s3:DeleteObject', object('state/tokens.sealed')],
  ['s3:DeleteObjectVersion', object('state/tokens.sealed')],
  ['s3:PutObject', object('state/other')],
  ['s3:ListBucket', `arn:aws:s3:::${BUCKET}`],
  ['s3:PutBucketPolicy', `arn:aws:s3:::${BUCKET}`],
  ['ssm:GetParameter', `arn:aws:ssm:us-east-1:${ACCOUNT}:parameter/somebody/password`],
  ['ssm:SendCommand', `arn:aws:ec2:us-east-1:${ACCOUNT}:instance/i-0fedcba9876543210`],
  ['ec2:RunInstances', `arn:aws:ec2:us-east-1:${ACCOUNT}:instance/i-0fedcba9876543210`],
  ['iam:PassRole', `arn:aws:iam::${ACCOUNT}:role/bot-instance`],
  ['sts:AssumeRole', `arn:aws:iam::${ACCOUNT}:role/administrator`],
];

describe("the machine's role", () => {
  const policies = machinePolicies(synthesise());

  it.each(ALLOWED)('may %s on %s', (action, resource) => {
    expect(ask([action, resource], policies)).toBe('Allowed');
  });

  it.each(DENIED)('may not %s on %s', (action, resource) => {
    expect(ask([action, resource], policies)).toBe('ImplicitlyDenied');
  });
});

describe('the namespace of its metrics', () => {
  it.each([
    ['Botstack', 'Allowed'],
    ['AWS/EC2', 'ImplicitlyDenied'],
  ])('%s: %s', (namespace, decision) => {
    const context = { 'cloudwatch:namespace': namespace };
    const policies = machinePolicies(synthesise());
    expect(ask(['cloudwatch:PutMetricData', '*'], policies, context)).toBe(decision);
  });
});

describe('a machine with a domain', () => {
  const zone = (id: string) => `arn:aws:route53:::hostedzone/${id}`;
  const ZONE = 'Z0123456789ABCDEFGHIJ';
  const policies = machinePolicies(synthesise({ domain: 'chat.example.com', hostedZone: ZONE }));
  const change = (id: string, name: string, type: string) =>
    ask(['route53:ChangeResourceRecordSets', zone(id)], policies, {
      'route53:ChangeResourceRecordSetsNormalizedRecordNames': [name],
      'route53:ChangeResourceRecordSetsRecordTypes': [type],
    });

  it('may write the record of the challenge, and no other', () => {
    expect(change(ZONE, '_acme-challenge.chat.example.com', 'TXT')).toBe('Allowed');
    expect(change(ZONE, 'chat.example.com', 'TXT')).toBe('ImplicitlyDenied');
    expect(change(ZONE, '_acme-challenge.chat.example.com', 'CNAME')).toBe('ImplicitlyDenied');
    expect(change('Z0000000000AAAAAAAAAA', '_acme-challenge.chat.example.com', 'TXT')).toBe(
      'ImplicitlyDenied',
    );
  });

  it('may keep its certificate in the bucket, and no other', () => {
    expect(ask(['s3:PutObject', object('tls/chat.example.com.tar.gz')], policies)).toBe('Allowed');
    expect(ask(['s3:GetObject', object('tls/chat.example.org.tar.gz')], policies)).toBe('ImplicitlyDenied');
  });
});

describe('the function that replaces the key', () => {
  const stack = synthesise();
  const policies = policiesOf(stack, 'rotate');

  it.each([
    ['secretsmanager:PutSecretValue', SECRET, 'Allowed'],
    ['secretsmanager:UpdateSecretVersionStage', SECRET, 'Allowed'],
    ['secretsmanager:DeleteSecret', SECRET, 'ImplicitlyDenied'],
    ['secretsmanager:RotateSecret', SECRET, 'ImplicitlyDenied'],
    [
      'secretsmanager:GetSecretValue',
      `arn:aws:secretsmanager:us-east-1:${ACCOUNT}:secret:other-AbCdEf`,
      'ImplicitlyDenied',
    ],
    ['s3:GetObject', object('any'), 'ImplicitlyDenied'],
  ])('%s on %s: %s', (action, resource, decision) => {
    expect(ask([action, resource], policies)).toBe(decision);
  });
});

describe('the function that reminds', () => {
  const policies = policiesOf(synthesise(), 'remind');

  it.each([
    ['secretsmanager:DescribeSecret', SECRET, 'Allowed'],
    ['secretsmanager:GetSecretValue', SECRET, 'ImplicitlyDenied'],
    ['s3:GetObject', object('state/tokens.sealed'), 'Allowed'],
    ['s3:GetObject', object('state/policy.yaml'), 'ImplicitlyDenied'],
    ['s3:PutObject', object('state/tokens.sealed'), 'ImplicitlyDenied'],
    ['sns:Publish', ARNS['aws_sns_topic'] ?? '', 'Allowed'],
  ])('%s on %s: %s', (action, resource, decision) => {
    expect(ask([action, resource], policies)).toBe(decision);
  });
});

describe('the role that takes snapshots', () => {
  const policies = policiesOf(synthesise({ backup: { keepDays: 7 } }), 'backups');
  const ours = { 'aws:ResourceTag/botstack:backup': 'bot' };
  const theirs = { 'aws:ResourceTag/botstack:backup': 'other' };
  const volume = `arn:aws:ec2:us-east-1:${ACCOUNT}:volume/vol-0123456789abcdef0`;
  const snapshot = 'arn:aws:ec2:us-east-1::snapshot/snap-0123456789abcdef0';

  it.each([
    ['ec2:CreateSnapshot', volume, ours, 'Allowed'],
    ['ec2:CreateSnapshot', volume, theirs, 'ImplicitlyDenied'],
    ['ec2:CreateSnapshot', volume, {}, 'ImplicitlyDenied'],
    ['ec2:CreateSnapshot', snapshot, {}, 'Allowed'],
    ['ec2:DeleteSnapshot', snapshot, ours, 'Allowed'],
    ['ec2:DeleteSnapshot', snapshot, theirs, 'ImplicitlyDenied'],
    ['ec2:DeleteVolume', volume, ours, 'ImplicitlyDenied'],
    ['ec2:DescribeSnapshots', '*', {}, 'Allowed'],
  ] as const)('%s on %s with %j: %s', (action, resource, context, decision) => {
    expect(ask([action, resource], policies, context)).toBe(decision);
  });
});

describe('the bucket', () => {
  const administrator: Policy[] = [
    { Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] },
    bucketPolicy(synthesise()),
  ];

  it('refuses even an administrator without TLS', () => {
    const request: Request = ['s3:GetObject', object('any')];
    expect(ask(request, administrator)).toBe('Allowed');
    expect(ask(request, administrator, { 'aws:SecureTransport': 'false' })).toBe('ExplicitlyDenied');
  });
});
