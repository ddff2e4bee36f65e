import { CloudwatchEventRule } from '@cdktf/provider-aws/lib/cloudwatch-event-rule';
import { CloudwatchEventTarget } from '@cdktf/provider-aws/lib/cloudwatch-event-target';
import { SecretsmanagerSecretRotation } from '@cdktf/provider-aws/lib/secretsmanager-secret-rotation';
import type { ITerraformDependable } from 'cdktf';
import { Construct } from 'constructs';

import type { StoredFile } from './artifacts';
import { SmallFunction } from './small-function';

export interface KeyRotationProps {
  readonly name: string;
  readonly secretArn: string;
  /** There is nothing to replace before it. */
  readonly firstValue: ITerraformDependable;
  /** Days that a key is the current one. It is taken as long again after that, as the one before. */
  readonly everyDays: number;
  readonly bucketName: string;
  /** The register of tokens in that bucket: beside it stands when tokens end. */
  readonly register: { readonly key: string; readonly arn: string };
  readonly rotateCode: StoredFile;
  readonly remindCode: StoredFile;
  readonly topicArn: string;
  readonly logRetentionDays: number;
}

/**
 * Replaces the API key when its time is over, without a restart and without a moment in which a client is refused; says
 * so by e-mail 14, 7 and 1 days before, as it does of access tokens that end. See functions/rotate-key.ts and functions/remind.ts.
 */
export class KeyRotation extends Construct {
  constructor(scope: Construct, id: string, props: KeyRotationProps) {
    super(scope, id);
    const { name, secretArn, bucketName, topicArn, logRetentionDays } = props;

    const rotate = new SmallFunction(this, 'rotate', {
      name: `${name}-rotate-key`,
      description: `Replaces the API key of the chat service ${name}; called by Secrets Manager`,
      bucketName,
      code: props.rotateCode,
      statements: [
        {
          Sid: 'ReplaceTheKey',
          Effect: 'Allow',
          Action: [
            'secretsmanager:DescribeSecret',
            'secretsmanager:GetSecretValue',
            'secretsmanager:PutSecretValue',
            'secretsmanager:UpdateSecretVersionStage',
          ],
          Resource: secretArn,
        },
      ],
      caller: { service: 'secretsmanager.amazonaws.com', sourceArn: secretArn },
      topicArn,
      logRetentionDays,
      failure:
        'The API key could not be replaced. The key of today goes on working; the function log says why.',
    });
    new SecretsmanagerSecretRotation(this, 'schedule', {
      secretId: secretArn,
      rotationLambdaArn: rotate.arn,
      rotationRules: { automaticallyAfterDays: props.everyDays },
      // The deploy has just made a key, and somebody is about to use it.
      rotateImmediately: false,
      dependsOn: [rotate.permission, props.firstValue],
    });

    const daily = new CloudwatchEventRule(this, 'daily', {
      name: `${name}-remind`,
      description: 'Asks once a day whether the API key is about to be replaced, or access tokens end',
      scheduleExpression: 'cron(0 8 * * ? *)',
    });
    const remind = new SmallFunction(this, 'remind', {
      name: `${name}-remind`,
      description: `Says when the API key of the chat service ${name} is about to be replaced, or tokens end`,
      bucketName,
      code: props.remindCode,
      environment: {
        DEPLOYMENT: name,
        SECRET_ARN: secretArn,
        BUCKET: bucketName,
        REGISTER_KEY: props.register.key,
        TOPIC_ARN: topicArn,
      },
      statements: [
        {
          Sid: 'ReadDates',
          Effect: 'Allow',
          Action: 'secretsmanager:DescribeSecret',
          Resource: secretArn,
        },
        // Its dates; what it says is sealed, and no key is here.
        { Sid: 'ReadTokenDates', Effect: 'Allow', Action: 's3:GetObject', Resource: props.register.arn },
        { Sid: 'Tell', Effect: 'Allow', Action: 'sns:Publish', Resource: topicArn },
      ],
      caller: { service: 'events.amazonaws.com', sourceArn: daily.arn },
      topicArn,
      logRetentionDays,
      failure:
        'Nobody is reminded of the end of the API key and of access tokens; the function log says why.',
    });
    new CloudwatchEventTarget(this, 'call', {
      rule: daily.name,
      arn: remind.arn,
      dependsOn: [remind.permission],
    });
  }
}
