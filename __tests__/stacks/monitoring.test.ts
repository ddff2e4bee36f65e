import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { CERTIFICATE_WARN_DAYS } from '../../runtime/src/server/certificate-watch';
import { NAMESPACE } from '../../runtime/src/metrics/cloudwatch';
import { MONITORING, ROTATION_ALARMS } from '../../stacks/cost';
import { METRIC_NAMESPACE } from '../../stacks/constructs/monitoring/names';
import { type Attributes, synthesise } from './synthesised';

const stack = synthesise({ alarmEmails: ['ops@example.com', 'me@example.org'] });

function alarm(name: string): Attributes {
  const found = stack
    .all('aws_cloudwatch_metric_alarm')
    .find(({ alarm_name: alarmName }) => alarmName === `bot-${name}`);
  if (found === undefined) throw new Error(`no alarm bot-${name}`);
  return found;
}

describe('the alarms', () => {
  it.each([
    ['cpu', 'CPUUtilization', 'GreaterThanThreshold', 85],
    ['memory-available', 'mem_available', 'LessThanThreshold', 500_000_000],
    ['memory-used', 'mem_used_percent', 'GreaterThanThreshold', 90],
    ['first-token', 'TimeToFirstToken', 'GreaterThanThreshold', 2],
  ])('%s looks at %s for three periods of five minutes: not at one long answer', (name, metric, than, at) => {
    expect(alarm(name)).toMatchObject({
      metric_name: metric,
      comparison_operator: than,
      threshold: at,
      period: 300,
      evaluation_periods: 3,
    });
    expect(alarm(name)).not.toHaveProperty('datapoints_to_alarm');
  });

  it('tells of a certificate that ends in less than 14 days', () => {
    expect(alarm('certificate')).toMatchObject({
      metric_name: 'CertificateDaysLeft',
      statistic: 'Minimum',
      comparison_operator: 'LessThanThreshold',
      threshold: CERTIFICATE_WARN_DAYS,
      treat_missing_data: 'notBreaching',
    });
  });

  it('has a rate of errors that does not divide by nothing', () => {
    expect(alarm('error-rate')).toMatchObject({
      threshold: 5,
      metric_query: [
        { id: 'rate', return_data: true, expression: 'IF(requests > 0, 100 * errors / requests, 0)' },
        { id: 'errors', metric: { metric_name: 'Errors', stat: 'Sum', period: 300 } },
        { id: 'requests', metric: { metric_name: 'Requests', stat: 'Sum', period: 300 } },
      ],
    });
  });

  it('tells also when nobody says whether the model answers', () => {
    const { alarm_actions: actions, ...unavailable } = alarm('unavailable');
    expect(unavailable).toMatchObject({
      treat_missing_data: 'missing',
      insufficient_data_actions: actions,
    });
  });

  it('moves the machine off a host that fails, and reboots one that hangs', () => {
    const topic = expect.stringMatching(/^\$\{aws_sns_topic\./) as unknown;
    expect(alarm('host-failed')['alarm_actions']).toEqual([topic, 'arn:aws:automate:us-east-1:ec2:recover']);
    expect(alarm('machine-failed')['alarm_actions']).toEqual([
      topic,
      'arn:aws:automate:us-east-1:ec2:reboot',
    ]);
    const china = synthesise({ region: 'cn-north-1' }).json;
    expect(china).toContain('arn:aws-cn:automate:cn-north-1:ec2:recover');
  });

  it('comes after the first answer, because a boot is silent and busy', () => {
    for (const each of synthesise({ keyRotationDays: 0 }).all('aws_cloudwatch_metric_alarm')) {
      expect(String(each['depends_on'])).toContain('terraform_data.answered');
    }
  });

  it('looks at metrics that somebody publishes, with their dimension', () => {
    expect(METRIC_NAMESPACE).toBe(NAMESPACE);
    const runtime = readFileSync(join(__dirname, '../../runtime/src/metrics/cloudwatch.ts'), 'utf8');
    const published = [...(/const UNITS = \{([^}]+)\}/.exec(runtime)?.[1]?.matchAll(/(\w+):/g) ?? [])].map(
      ([, name]) => name,
    );
    expect(published).toHaveLength(8);
    const looked = stack
      .all('aws_cloudwatch_metric_alarm')
      .filter(({ namespace, dimensions }) => namespace === METRIC_NAMESPACE && dimensions !== undefined);
    expect(looked.length).toBeGreaterThanOrEqual(6);
    for (const { metric_name: metric, dimensions } of looked) {
      expect(dimensions).toEqual({ Deployment: 'bot' });
      expect([...published, 'mem_available', 'mem_used_percent', 'disk_used_percent']).toContain(metric);
    }
  });

  it('tells addresses apart that differ in a sign alone', () => {
    const alike = synthesise({ alarmEmails: ['a.b@example.com', 'a-b@example.com'] });
    expect(alike.all('aws_sns_topic_subscription')).toHaveLength(2);
  });

  it('mails to everybody named', () => {
    expect(
      stack.all('aws_sns_topic_subscription').map(({ protocol, endpoint }) => [protocol, endpoint]),
    ).toEqual([
      ['email', 'me@example.org'],
      ['email', 'ops@example.com'],
    ]);
  });
});

describe('the logs', () => {
  it('are kept as long as asked, and the figures for days only', () => {
    const groups = synthesise({ logRetentionDays: 90 }).all('aws_cloudwatch_log_group');
    expect(groups.map(({ name, retention_in_days: days }) => [name, days])).toEqual([
      ['/aws/lambda/bot-remind', 90],
      ['/aws/lambda/bot-rotate-key', 90],
      ['/botstack/bot/access', 90],
      ['/botstack/bot/metrics', 3],
      ['/botstack/bot/service', 90],
      ['/botstack/bot/system', 90],
    ]);
  });

  it('are counted by level from the beginning of the line, so that no request can forge one', () => {
    const patterns = stack.all('aws_cloudwatch_log_metric_filter').map(({ pattern }) => String(pattern));
    // Between per cent signs stands a regular expression.
    const expressions = patterns.map((pattern) => new RegExp(/^%(.*)%$/.exec(pattern)![1]!));
    const matched = (line: string) => expressions.map((expression) => expression.test(line));
    expect(matched('[2026-11-22 10:00:00] [ERR] the engine failed')).toEqual([true, false]);
    expect(matched('[2026-11-22 10:00:00] [SEC] req=1 user=-')).toEqual([false, true]);
    expect(matched('[2026-11-22 10:00:00] [INF] GET /x] [SEC] y')).toEqual([false, false]);
    expect(matched('[2026-11-22 10:00:00] [INF] GET [2026-11-22 10:00:00] [ERR]')).toEqual([false, false]);
  });

  it('go to the groups that the agent is told of, and the role may write there and publish in one namespace', () => {
    const { Statement: statements } = JSON.parse(
      String(stack.one('aws_iam_role_policy', { name: 'service' })['policy']),
    ) as {
      Statement: { Sid: string; Resource: unknown; Condition?: object }[];
    };
    const byName = Object.fromEntries(statements.map((statement) => [statement.Sid, statement]));
    expect(byName['ShipLogs']?.Resource).toEqual(
      Array.from({ length: 4 }, () =>
        expect.stringMatching(/^\$\{aws_cloudwatch_log_group\.[^}]+\.arn\}:\*$/),
      ),
    );
    expect(byName['PublishMetrics']?.Condition).toEqual({
      StringEquals: { 'cloudwatch:namespace': 'Botstack' },
    });
  });
});

describe('the cost', () => {
  const alarms = stack.all('aws_cloudwatch_metric_alarm');
  const isOfFunction = ({ namespace }: Attributes) => namespace === 'AWS/Lambda';

  it('is what stacks/cost.ts counts', () => {
    const looked = alarms
      .filter((each) => !isOfFunction(each))
      .map(({ metric_query: queries }) =>
        Array.isArray(queries)
          ? queries.filter((query: Attributes) => query['metric'] !== undefined).length
          : 1,
      );
    expect(looked).toHaveLength(MONITORING.alarms);
    expect(looked.reduce((sum, count) => sum + count, 0)).toBe(MONITORING.alarmMetrics);
    expect(alarms.filter(isOfFunction)).toHaveLength(ROTATION_ALARMS);
    // Eight of the runtime, three of the agent, one for each level of line.
    expect(8 + 3 + stack.all('aws_cloudwatch_log_metric_filter').length).toBe(MONITORING.metrics);
  });
});

describe('monitoring: false', () => {
  it('leaves nothing of it on the bill', () => {
    const { document, json } = synthesise({ monitoring: false, keyRotationDays: 0 });
    expect(Object.keys(document.resource).filter((type) => /cloudwatch|lambda/.test(type))).toEqual([]);
    expect(json).not.toMatch(/PutMetricData|cloudwatch_metrics/);
  });
});
