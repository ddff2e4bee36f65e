import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { unzipSync } from 'fflate';

import { packFunction } from '../../stacks/function-code';
import { temporaryFolder } from '../support/temporary-folder';
import { type Attributes, synthesise } from './synthesised';

const folder = temporaryFolder();
const stack = synthesise();

function policyOf(functionName: string): { Sid: string; Action: string | string[]; Resource: string }[] {
  const [id] = Object.entries(stack.document.resource['aws_iam_role']!).find(
    ([, role]) => role['name_prefix'] === `${functionName}-`,
  )!;
  const policy = stack
    .all('aws_iam_role_policy')
    .find(({ role }) => role === `\${aws_iam_role.${id}.id}`) as Attributes;
  return (JSON.parse(String(policy['policy'])) as { Statement: ReturnType<typeof policyOf> }).Statement;
}

describe('the rotation', () => {
  it('replaces the key every 90 days, and not in the moment of the deploy', () => {
    expect(stack.one('aws_secretsmanager_secret_rotation')).toMatchObject({
      rotate_immediately: false,
      rotation_rules: { automatically_after_days: 90 },
      depends_on: [
        expect.stringMatching(/^aws_lambda_permission\./),
        expect.stringMatching(/^aws_secretsmanager_secret_version\./),
      ],
    });
    expect(
      synthesise({ keyRotationDays: 30 }).one('aws_secretsmanager_secret_rotation')['rotation_rules'],
    ).toEqual({ automatically_after_days: 30 });
  });

  it('may work with that one secret and write its log', () => {
    const statements = policyOf('bot-rotate-key');
    expect(statements).toHaveLength(2);
    expect(statements[0]).toEqual({
      Sid: 'ReplaceTheKey',
      Effect: 'Allow',
      Action: [
        'secretsmanager:DescribeSecret',
        'secretsmanager:GetSecretValue',
        'secretsmanager:PutSecretValue',
        'secretsmanager:UpdateSecretVersionStage',
      ],
      Resource: expect.stringMatching(/^\$\{aws_secretsmanager_secret\.[^}]+\.arn\}$/),
    });
    expect(statements[1]?.Resource).toMatch(/^\$\{aws_cloudwatch_log_group\.[^}]+\.arn\}:\*$/);
  });

  it('may be asked for by that one secret', () => {
    expect(
      stack
        .all('aws_lambda_permission')
        .map(({ principal, source_arn: source }) => [principal, String(source).replace(/\..*\./, '.….')]),
    ).toEqual([
      ['events.amazonaws.com', '${aws_cloudwatch_event_rule.….arn}'],
      ['secretsmanager.amazonaws.com', '${aws_secretsmanager_secret.….arn}'],
    ]);
  });

  it('tells when it fails', () => {
    const alarms = stack
      .all('aws_cloudwatch_metric_alarm')
      .filter(({ namespace }) => namespace === 'AWS/Lambda');
    expect(alarms.map(({ alarm_name: name }) => name).sort()).toEqual([
      'bot-remind-failed',
      'bot-rotate-key-failed',
    ]);
    for (const alarm of alarms) {
      expect(alarm).toMatchObject({ metric_name: 'Errors', threshold: 1, evaluation_periods: 1 });
      expect(String(alarm['alarm_actions'])).toMatch(/^\$\{aws_sns_topic\./);
    }
  });

  it('has its code uploaded before there is a function', () => {
    for (const each of stack.all('aws_lambda_function')) {
      expect(String(each['depends_on'])).toMatch(/aws_s3_object\.artifacts_function-/);
    }
  });

  it('is left out, with all that belongs to it, where it is not wanted', () => {
    const { document } = synthesise({ keyRotationDays: 0 });
    expect(Object.keys(document.resource).filter((type) => /lambda|event|rotation/.test(type))).toEqual([]);
  });
});

describe('the reminder', () => {
  it('is asked for once a day, may read dates and no value, and speaks on one topic', () => {
    expect(stack.one('aws_cloudwatch_event_rule')['schedule_expression']).toBe('cron(0 8 * * ? *)');
    expect(policyOf('bot-remind').map(({ Action }) => Action)).toEqual([
      'secretsmanager:DescribeSecret',
      's3:GetObject',
      'sns:Publish',
      ['logs:CreateLogStream', 'logs:PutLogEvents'],
    ]);
  });
});

describe("the functions' code", () => {
  it.each(['rotate-key', 'remind'])(
    '%s is small, the same each time, and runs in a Node of its own',
    (name) => {
      const { bytes, sha256 } = packFunction(name);
      expect(packFunction(name).sha256).toBe(sha256);
      expect(bytes.length).toBeLessThan(10_000);
      const unpacked = join(folder(), 'function');
      mkdirSync(unpacked);
      writeFileSync(join(unpacked, 'index.js'), unzipSync(bytes)['index.js']!);
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        ['-e', `console.log(typeof require(${JSON.stringify(join(unpacked, 'index.js'))}).handler)`],
        {
          encoding: 'utf8',
          env: {
            ...process.env,
            NODE_PATH: join(process.cwd(), 'node_modules'),
            AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
          },
        },
      );
      expect([status, stdout, stderr]).toEqual([0, 'function\n', '']);
    },
  );
});
