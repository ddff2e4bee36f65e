import { SnsTopic } from '@cdktf/provider-aws/lib/sns-topic';
import { SnsTopicPolicy } from '@cdktf/provider-aws/lib/sns-topic-policy';
import { SnsTopicSubscription } from '@cdktf/provider-aws/lib/sns-topic-subscription';
import { Construct } from 'constructs';

export interface AlertsProps {
  readonly name: string;
  /** Each gets a mail from AWS with a link, and alerts only after following it. */
  readonly emails: readonly string[];
}

/**
 * Where everything goes that a person should know of: alarms, failed rotations, reminders. A thousand mails a month
 * are free.
 */
export class Alerts extends Construct {
  readonly topicArn: string;

  constructor(scope: Construct, id: string, { name, emails }: AlertsProps) {
    super(scope, id);

    // Not encrypted: alarms cannot publish to a topic under AWS's own key, and a key of one's own is 1 USD a month for
    // mails that leave AWS in clear. They hold names and figures, no secret.
    const topic = new SnsTopic(this, 'topic', {
      namePrefix: `${name}-alerts-`,
      displayName: `botstack ${name}`,
      tags: { Name: `${name}-alerts` },
    });
    this.topicArn = topic.arn;
    new SnsTopicPolicy(this, 'publishers', {
      arn: topic.arn,
      policy: JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          {
            Sid: 'AlarmsOfThisAccount',
            Effect: 'Allow',
            Principal: { Service: 'cloudwatch.amazonaws.com' },
            Action: 'sns:Publish',
            Resource: topic.arn,
            Condition: { StringEquals: { 'aws:SourceAccount': topic.owner } },
          },
        ],
      }),
    });
    for (const email of emails) {
      new SnsTopicSubscription(this, `mail-${email}`, {
        topicArn: topic.arn,
        protocol: 'email',
        endpoint: email,
      });
    }
  }
}
