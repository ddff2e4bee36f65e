import { DlmLifecyclePolicy } from '@cdktf/provider-aws/lib/dlm-lifecycle-policy';
import { IamRole } from '@cdktf/provider-aws/lib/iam-role';
import { IamRolePolicy } from '@cdktf/provider-aws/lib/iam-role-policy';
import { Construct } from 'constructs';

export interface BackupsProps {
  readonly name: string;
  /** Snapshots that are kept, one a day. */
  readonly keepDays: number;
}

/** On the disk, with the deployment's name: whose snapshots Data Lifecycle Manager takes. */
export const BACKUP_TAG = 'botstack:backup';

/** Daily snapshots of the machine's disk. They outlive the deployment, as a backup should. */
export class Backups extends Construct {
  constructor(scope: Construct, id: string, { name, keepDays }: BackupsProps) {
    super(scope, id);

    const role = new IamRole(this, 'role', {
      namePrefix: `${name}-backup-`,
      description: `Takes the snapshots of the chat service ${name}`,
      assumeRolePolicy: JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          { Effect: 'Allow', Principal: { Service: 'dlm.amazonaws.com' }, Action: 'sts:AssumeRole' },
        ],
      }),
      tags: { Name: `${name}-backup` },
    });
    const ours = { StringEquals: { [`aws:ResourceTag/${BACKUP_TAG}`]: name } };
    new IamRolePolicy(this, 'policy', {
      name: 'snapshots',
      role: role.id,
      policy: JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          // These know no narrower resource.
          {
            Sid: 'Look',
            Effect: 'Allow',
            Action: ['ec2:DescribeInstances', 'ec2:DescribeVolumes', 'ec2:DescribeSnapshots'],
            Resource: '*',
          },
          {
            Sid: 'OfOurDisk',
            Effect: 'Allow',
            Action: 'ec2:CreateSnapshot',
            Resource: 'arn:*:ec2:*:*:volume/*',
            Condition: ours,
          },
          {
            Sid: 'Take',
            Effect: 'Allow',
            Action: ['ec2:CreateSnapshot', 'ec2:CreateTags'],
            Resource: 'arn:*:ec2:*::snapshot/*',
          },
          {
            Sid: 'ForgetOurs',
            Effect: 'Allow',
            Action: 'ec2:DeleteSnapshot',
            Resource: 'arn:*:ec2:*::snapshot/*',
            Condition: ours,
          },
        ],
      }),
    });
    new DlmLifecyclePolicy(this, 'daily', {
      description: `Daily snapshots of the chat service ${name}`,
      executionRoleArn: role.arn,
      policyDetails: {
        resourceTypes: ['VOLUME'],
        targetTags: { [BACKUP_TAG]: name },
        schedule: [
          {
            name: 'daily',
            // At night in Europe and in America.
            createRule: { interval: 24, intervalUnit: 'HOURS', times: ['05:00'] },
            retainRule: { count: keepDays },
            // With them the disk's own: the deployment's name among them, which leftovers goes by.
            copyTags: true,
          },
        ],
      },
      tags: { Name: `${name}-backup` },
    });
  }
}
