import { DataAwsPartition } from '@cdktf/provider-aws/lib/data-aws-partition';
import { IamInstanceProfile } from '@cdktf/provider-aws/lib/iam-instance-profile';
import { IamRole } from '@cdktf/provider-aws/lib/iam-role';
import { IamRolePolicy } from '@cdktf/provider-aws/lib/iam-role-policy';
import { IamRolePolicyAttachment } from '@cdktf/provider-aws/lib/iam-role-policy-attachment';
import { Construct } from 'constructs';

export interface IdentityProps {
  readonly name: string;
  readonly secretArn: string;
  /** Objects the machine may read. */
  readonly readableArns: readonly string[];
  /** Where it may write its report; ends in `/*`. */
  readonly reportArns: string;
}

/** Who the machine is: a role that reads one secret and two objects, writes its report, and opens SSM sessions. */
export class Identity extends Construct {
  readonly instanceProfileName: string;

  constructor(scope: Construct, id: string, { name, secretArn, readableArns, reportArns }: IdentityProps) {
    super(scope, id);

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
          { Sid: 'ReadBundleAndModel', Effect: 'Allow', Action: 's3:GetObject', Resource: [...readableArns] },
          { Sid: 'WriteReport', Effect: 'Allow', Action: 's3:PutObject', Resource: reportArns },
        ],
      }),
    });
    // `aws`, `aws-cn` or `aws-us-gov`; known to the provider without a request.
    const { partition } = new DataAwsPartition(this, 'partition');
    // Shell sessions and port forwarding without an open port and without SSH keys.
    new IamRolePolicyAttachment(this, 'sessions', {
      role: role.name,
      policyArn: `arn:${partition}:iam::aws:policy/AmazonSSMManagedInstanceCore`,
    });
    const profile = new IamInstanceProfile(this, 'profile', {
      namePrefix: `${name}-instance-`,
      role: role.name,
      tags: { Name: name },
    });

    this.instanceProfileName = profile.name;
  }
}
