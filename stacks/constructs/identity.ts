import { IamInstanceProfile } from '@cdktf/provider-aws/lib/iam-instance-profile';
import { IamRole } from '@cdktf/provider-aws/lib/iam-role';
import { IamRolePolicy } from '@cdktf/provider-aws/lib/iam-role-policy';
import { Construct } from 'constructs';

import { METRIC_NAMESPACE } from './monitoring/names';

export interface IdentityProps {
  readonly name: string;
  readonly secretArn: string;
  /** Objects the machine may read. */
  readonly readableArns: readonly string[];
  /** Where it may write its report; ends in `/*`. */
  readonly reportArns: string;
  /** Objects that it keeps for the machine after it: it reads and writes them. */
  readonly keptArns: readonly string[];
  /** Log groups that its agent may write to. @default none, and no metrics either */
  readonly logGroupArns?: readonly string[];
  /** What else it may do. @default nothing */
  readonly statements?: readonly object[];
}

/** What Session Manager asks of a machine's role, and no more; these actions know no narrower resource. */
const SESSION_ACTIONS = [
  'ssm:UpdateInstanceInformation',
  'ssmmessages:CreateControlChannel',
  'ssmmessages:CreateDataChannel',
  'ssmmessages:OpenControlChannel',
  'ssmmessages:OpenDataChannel',
];

/** Who the machine is: a role that reads one secret and three objects, writes its report and what it keeps, opens SSM sessions, and ships logs. */
export class Identity extends Construct {
  readonly instanceProfileName: string;

  constructor(scope: Construct, id: string, props: IdentityProps) {
    super(scope, id);
    const { name, secretArn, readableArns, reportArns, keptArns, logGroupArns = [], statements = [] } = props;

    const role = new IamRole(this, 'role', {
      namePrefix: `${name}-instance-`,
      description: `What the machine of the chat service ${name} may do`,
      assumeRolePolicy: JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          { Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' }, Action: 'sts:AssumeRole' },
        ],
      }),
      tags: { Name: name },
    });
    new IamRolePolicy(this, 'policy', {
      name: 'service',
      role: role.id,
      policy: JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          {
            Sid: 'ReadApiKey',
            Effect: 'Allow',
            Action: 'secretsmanager:GetSecretValue',
            Resource: secretArn,
          },
          { Sid: 'ReadArtifacts', Effect: 'Allow', Action: 's3:GetObject', Resource: [...readableArns] },
          // The whole prefix, because the role is there before the instance has an id. So while one machine replaces
          // another, each could overwrite the other's report; no machine outside the deployment has the role.
          { Sid: 'WriteReport', Effect: 'Allow', Action: 's3:PutObject', Resource: reportArns },
          {
            Sid: 'KeepState',
            Effect: 'Allow',
            Action: ['s3:GetObject', 's3:PutObject'],
            Resource: [...keptArns],
          },
          // Shell sessions and port forwarding without an open port and without SSH keys. Not AWS's own policy
          // AmazonSSMManagedInstanceCore: that one lets the machine read every parameter of the account.
          { Sid: 'OpenSessions', Effect: 'Allow', Action: SESSION_ACTIONS, Resource: '*' },
          ...(logGroupArns.length > 0 ? reporting(logGroupArns) : []),
          ...statements,
        ],
      }),
    });
    const profile = new IamInstanceProfile(this, 'profile', {
      namePrefix: `${name}-instance-`,
      role: role.name,
      tags: { Name: name },
    });

    this.instanceProfileName = profile.name;
  }
}

/** What the CloudWatch agent needs. The groups are there already, and no other can be made or read. */
function reporting(logGroupArns: readonly string[]): object[] {
  return [
    {
      Sid: 'ShipLogs',
      Effect: 'Allow',
      Action: ['logs:CreateLogStream', 'logs:DescribeLogStreams', 'logs:PutLogEvents'],
      Resource: logGroupArns.map((arn) => `${arn}:*`),
    },
    {
      Sid: 'PublishMetrics',
      Effect: 'Allow',
      Action: 'cloudwatch:PutMetricData',
      // The action knows no resource; the namespace is what can be told apart.
      Resource: '*',
      Condition: { StringEquals: { 'cloudwatch:namespace': METRIC_NAMESPACE } },
    },
  ];
}
