/**
 * Once a day: says by the deployment's topic that the API key is going to be replaced, or that access tokens end, 14, 7
 * and 1 days before. With days as they change at midnight UTC, each of the three is said once, whenever in the day this
 * runs. When tokens end stands beside the register, which is sealed: see runtime/src/access/register-copy.ts.
 */
import { HeadObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { DescribeSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { PublishCommand, SNSClient } from '@aws-sdk/client-sns';

const DAYS_BEFORE = [14, 7, 1];
const DAY_MS = 86_400_000;

const secrets = new SecretsManagerClient({});
const topics = new SNSClient({});
const objects = new S3Client({});

/** Told by the stack. */
function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`the environment variable ${name} is not set`);
  return value;
}

interface Mail {
  readonly Subject: string;
  readonly Message: string;
}

export async function handler(_event: unknown, _context?: unknown, now = new Date()): Promise<string> {
  const deployment = setting('DEPLOYMENT');
  const key = await keyEnd();
  const tokens = await tokenEnds();
  const mails = [
    ...(key === undefined
      ? []
      : [key.end].filter(isDue(now)).map((end) => keyMail(deployment, key.name, end, now))),
    ...tokens.filter(isDue(now)).map((end) => tokenMail(deployment, end, end === tokens.at(-1), now)),
  ];
  for (const mail of mails) {
    await topics.send(new PublishCommand({ TopicArn: setting('TOPIC_ARN'), ...mail }));
  }
  const left = key === undefined ? 'no rotation is planned' : `key: ${daysLeft([key.end], now)}`;
  return `${left}; tokens: ${tokens.length === 0 ? 'none that was made to last' : daysLeft(tokens, now)}`;
}

/** `9, 14 days left`, and `1 day left`. */
function daysLeft(ends: readonly Date[], now: Date): string {
  const days = ends.map((end) => daysTo(end, now));
  return `${days.join(', ')} ${days.at(-1) === 1 ? 'day' : 'days'} left`;
}

async function keyEnd(): Promise<{ readonly name: string; readonly end: Date } | undefined> {
  const { Name: name = '', NextRotationDate: end } = await secrets.send(
    new DescribeSecretCommand({ SecretId: setting('SECRET_ARN') }),
  );
  return end && { name, end };
}

/** The earliest first. */
async function tokenEnds(): Promise<readonly Date[]> {
  const { Metadata: notes = {} } = await objects.send(
    new HeadObjectCommand({ Bucket: setting('BUCKET'), Key: setting('REGISTER_KEY') }),
  );
  return (notes['token-ends'] ?? '')
    .split(',')
    .filter((date) => date !== '')
    .map((date) => new Date(date));
}

function keyMail(deployment: string, secret: string, end: Date, now: Date): Mail {
  return {
    Subject: `botstack ${deployment}: the API key is replaced ${inDays(end, now)}`,
    Message:
      `The API key of the deployment ${deployment} is replaced ${inDays(end, now)}, on ${dateOf(end)}.\n\n` +
      `The key of today goes on working until the replacement after that. Until then, give your clients the new one:\n\n` +
      `  aws secretsmanager get-secret-value --secret-id ${secret} --query SecretString --output text\n\n` +
      `To replace it now instead: aws secretsmanager rotate-secret --secret-id ${secret}\n`,
  };
}

function tokenMail(deployment: string, end: Date, isLast: boolean, now: Date): Mail {
  return {
    Subject: `botstack ${deployment}: ${isLast ? 'the last access token ends' : 'access tokens end'} ${inDays(end, now)}`,
    Message:
      `Of the deployment ${deployment}, access tokens end ${inDays(end, now)}, on ${dateOf(end)}` +
      `${isLast ? '; none that was made for more than a week is valid after that' : ''}.\n\n` +
      `Whose they are, and a new one (on the machine, or on the console's Tokens page):\n\n` +
      `  sudo /opt/bot/bin/bot token list\n` +
      `  sudo /opt/bot/bin/bot token issue --user NAME --expiry SECONDS\n`,
  };
}

const isDue = (now: Date) => (end: Date) => DAYS_BEFORE.includes(daysTo(end, now));

function inDays(end: Date, now: Date): string {
  const days = daysTo(end, now);
  return days === 1 ? 'tomorrow' : `in ${days} days`;
}

function dateOf(time: Date): string {
  return time.toISOString().slice(0, 10);
}

function daysTo(end: Date, now: Date): number {
  return dayNumber(end) - dayNumber(now);
}

function dayNumber(time: Date): number {
  return Math.floor(time.getTime() / DAY_MS);
}
