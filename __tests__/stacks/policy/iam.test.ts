/** What the roles may do and may not, judged the way IAM judges: by simulation, not by comparing texts. */
import { runSimulation, type Simulation } from '@cloud-copilot/iam-simulate';

import { BUNDLE, MODEL, synthesise, type Synthesised } from '../synthesised';

const ACCOUNT = '123456789012';
const BUCKET = 'bot-artifacts-0001';
const SECRET = `arn:aws:secretsmanager:us-east-1:${ACCOUNT}:secret:bot-api-key-0001-AbCdEf`;
const MACHINE = `arn:aws:sts::${ACCOUNT}:assumed-role/bot-instance/i-0123456789abcdef0`;

const ARNS: Readonly<Record<string, string>> = {
  aws_s3_bucket: `arn:aws:s3:::${BUCKET}`,
  aws_secretsmanager_secret: SECRET,
};

type Request = readonly [action: string, resource: string];

/** A policy of the stack with ARNs in place of Terraform's references to them. */
function policyOf(text: unknown): object {
  const filled = String(text).replace(/\$\{([a-z0-9_]+)\.[^}]+\.arn\}/g, (reference, type: string) => {
    const arn = ARNS[type];
    if (arn === undefined) throw new Error(`no ARN stands in for ${reference}`);
    return arn;
  });
  return JSON.parse(filled) as object;
}

async function decide(
  [action, resource]: Request,
  policies: Pick<Simulation, 'identityPolicies' | 'resourcePolicy'>,
  tls: 'true' | 'false' = 'true',
): Promise<string> {
  const result = await runSimulation(
    {
      ...policies,
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      request: {
        principal: MACHINE,
        action,
        resource: { resource, accountId: ACCOUNT },
        contextVariables: { 'aws:SecureTransport': tls },
      },
    },
    {},
  );
  if (result.resultType === 'error')
    throw new Error(`${action} on ${resource}: ${JSON.stringify(result.errors)}`);
  return result.overallResult;
}

function machinePolicies(stack: Synthesised): Pick<Simulation, 'identityPolicies' | 'resourcePolicy'> {
  const identityPolicies = stack
    .all('aws_iam_role_policy')
    .filter(({ role }) => String(role).includes('identity_role'))
    .map(({ policy }) => ({ name: 'service', policy: policyOf(policy) }));
  expect(identityPolicies).toHaveLength(1);
  return { identityPolicies, resourcePolicy: policyOf(stack.one('aws_s3_bucket_policy')['policy']) };
}

const object = (key: string) => `arn:aws:s3:::${BUCKET}/${key}`;

const ALLOWED: readonly Request[] = [
  ['secretsmanager:GetSecretValue', SECRET],
  ['s3:GetObject', object(`bundles/${BUNDLE.sha256}.tar.gz`)],
  ['s3:GetObject', object(`models/${MODEL.sha256}.gguf`)],
  ['s3:PutObject', object('reports/i-0123456789abcdef0.json')],
  ['ssm:UpdateInstanceInformation', `arn:aws:ec2:us-east-1:${ACCOUNT}:instance/i-0123456789abcdef0`],
  ['ssmmessages:OpenDataChannel', '*'],
];

const DENIED: readonly Request[] = [
  ['secretsmanager:GetSecretValue', `arn:aws:secretsmanager:us-east-1:${ACCOUNT}:secret:other-AbCdEf`],
  ['secretsmanager:PutSecretValue', SECRET],
  ['secretsmanager:DeleteSecret', SECRET],
  ['s3:GetObject', object(`bundles/${'0'.repeat(64)}.tar.gz`)],
  ['s3:GetObject', object('reports/i-0123456789abcdef0.json')],
  ['s3:GetObject', `arn:aws:s3:::another-bucket/bundles/${BUNDLE.sha256}.tar.gz`],
  ['s3:PutObject', object(`bundles/${BUNDLE.sha256}.tar.gz`)],
  ['s3:PutObject', object(`models/${MODEL.sha256}.gguf`)],
  ['s3:DeleteObject', object('reports/i-0123456789abcdef0.json')],
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

  it.each(ALLOWED)('may %s on %s', async (action, resource) => {
    expect(await decide([action, resource], policies)).toBe('Allowed');
  });

  it.each(DENIED)('may not %s on %s', async (action, resource) => {
    expect(await decide([action, resource], policies)).toBe('ImplicitlyDenied');
  });
});

describe('the bucket', () => {
  const { resourcePolicy } = machinePolicies(synthesise());
  const administrator = {
    identityPolicies: [
      {
        name: 'all',
        policy: { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] },
      },
    ],
    resourcePolicy,
  };

  it('refuses even an administrator without TLS', async () => {
    const request: Request = ['s3:GetObject', object('any')];
    expect(await decide(request, administrator, 'true')).toBe('Allowed');
    expect(await decide(request, administrator, 'false')).toBe('ExplicitlyDenied');
  });
});
