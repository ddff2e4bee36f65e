/**
 * Once a day: says by the deployment's topic that the API key is going to be replaced, 14, 7 and 1 days before. With
 * days as they change at midnight UTC, each of the three is said once, whenever in the day this runs.
 */
import { DescribeSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { PublishCommand, SNSClient } from '@aws-sdk/client-sns';

const DAYS_BEFORE = [14, 7, 1];
const DAY_MS = 86_400_000;

const secrets = new SecretsManagerClient({});
const topics = new SNSClient({});

/** Told by the stack. */
function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`the environment variable ${name} is not set`);
  return value;
}

export async function handler(_event: unknown, _context?: unknown, now = new Date()): Promise<string> {
  const deployment = setting('DEPLOYMENT');
  const { Name, NextRotationDate: end } = await secrets.send(
    new DescribeSecretCommand({ SecretId: setting('SECRET_ARN') }),
  );
  if (end === undefined) return 'no rotation is planned';
  const days = dayNumber(end) - dayNumber(now);
  if (DAYS_BEFORE.includes(days)) {
    await topics.send(
      new PublishCommand({ TopicArn: setting('TOPIC_ARN'), ...message(deployment, String(Name), days, end) }),
    );
  }
  return `${days} days left`;
}

function message(deployment: string, secret: string, days: number, end: Date) {
  const when = `${days === 1 ? 'tomorrow' : `in ${days} days`}, on ${end.toISOString().slice(0, 10)}`;
  return {
    Subject: `botstack ${deployment}: the API key is replaced ${days === 1 ? 'tomorrow' : `in ${days} days`}`,
    Message:
      `The API key of the deployment ${deployment} is replaced ${when}.\n\n` +
      `The key of today goes on working until the replacement after that. Until then, give your clients the new one:\n\n` +
      `  aws secretsmanager get-secret-value --secret-id ${secret} --query SecretString --output text\n\n` +
      `To replace it now instead: aws secretsmanager rotate-secret --secret-id ${secret}\n`,
  };
}

function dayNumber(time: Date): number {
  return Math.floor(time.getTime() / DAY_MS);
}
