import { CloudwatchLogGroup } from '@cdktf/provider-aws/lib/cloudwatch-log-group';
import { CloudwatchMetricAlarm } from '@cdktf/provider-aws/lib/cloudwatch-metric-alarm';
import { IamRole } from '@cdktf/provider-aws/lib/iam-role';
import { IamRolePolicy } from '@cdktf/provider-aws/lib/iam-role-policy';
import { LambdaFunction } from '@cdktf/provider-aws/lib/lambda-function';
import { LambdaPermission } from '@cdktf/provider-aws/lib/lambda-permission';
import { Construct } from 'constructs';

import { FUNCTION_HANDLER, FUNCTION_RUNTIME } from '../function-code';
import type { StoredFile } from './artifacts';

export interface SmallFunctionProps {
  /** Of the function. */
  readonly name: string;
  readonly description: string;
  readonly bucketName: string;
  readonly code: StoredFile;
  readonly environment?: Readonly<Record<string, string>>;
  /** What it may do, beside writing its own log. */
  readonly statements: readonly object[];
  /** Which service calls it, and on behalf of what. */
  readonly caller: { readonly service: string; readonly sourceArn: string };
  readonly logRetentionDays: number;
  /** Told when it fails. */
  readonly topicArn: string;
  /** What a failure means; the alarm's description. */
  readonly failure: string;
}

/** Longer than the two or three requests take that each of them makes. */
const TIMEOUT_SECONDS = 30;

/**
 * A Lambda function that runs some seconds a day at most, which costs nothing, with a role, a log and an alarm of its
 * own (0.10 USD a month). Outside the network: it talks to AWS and to nobody else.
 */
export class SmallFunction extends Construct {
  readonly arn: string;
  /** Whoever is going to call it waits for this. */
  readonly permission: LambdaPermission;

  constructor(scope: Construct, id: string, props: SmallFunctionProps) {
    super(scope, id);
    const { name, caller } = props;

    const log = new CloudwatchLogGroup(this, 'log', {
      // Lambda would make it by itself, and leave it.
      name: `/aws/lambda/${name}`,
      retentionInDays: props.logRetentionDays,
    });
    const role = new IamRole(this, 'role', {
      namePrefix: `${name}-`,
      description: `What the function ${name} may do`,
      assumeRolePolicy: JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          { Effect: 'Allow', Principal: { Service: 'lambda.amazonaws.com' }, Action: 'sts:AssumeRole' },
        ],
      }),
    });
    const policy = new IamRolePolicy(this, 'policy', {
      name: 'function',
      role: role.id,
      policy: JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          ...props.statements,
          {
            Sid: 'WriteLog',
            Effect: 'Allow',
            Action: ['logs:CreateLogStream', 'logs:PutLogEvents'],
            Resource: `${log.arn}:*`,
          },
        ],
      }),
    });
    const lambda = new LambdaFunction(this, 'function', {
      functionName: name,
      description: props.description,
      runtime: FUNCTION_RUNTIME,
      handler: FUNCTION_HANDLER,
      architectures: ['arm64'],
      role: role.arn,
      s3Bucket: props.bucketName,
      // The key carries the content's hash: other code is another key.
      s3Key: props.code.key,
      timeout: TIMEOUT_SECONDS,
      memorySize: 128,
      environment: props.environment === undefined ? undefined : { variables: { ...props.environment } },
      tags: { Name: name },
      dependsOn: [policy, log, props.code.uploaded],
    });
    this.arn = lambda.arn;
    this.permission = new LambdaPermission(this, 'caller', {
      statementId: 'caller',
      functionName: lambda.functionName,
      action: 'lambda:InvokeFunction',
      principal: caller.service,
      sourceArn: caller.sourceArn,
    });
    new CloudwatchMetricAlarm(this, 'failed', {
      alarmName: `${name}-failed`,
      alarmDescription: props.failure,
      namespace: 'AWS/Lambda',
      metricName: 'Errors',
      dimensions: { FunctionName: lambda.functionName },
      statistic: 'Sum',
      period: 300,
      evaluationPeriods: 1,
      comparisonOperator: 'GreaterThanOrEqualToThreshold',
      threshold: 1,
      treatMissingData: 'notBreaching',
      alarmActions: [props.topicArn],
    });
  }
}
