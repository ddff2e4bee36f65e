import {
  CloudwatchMetricAlarm,
  type CloudwatchMetricAlarmConfig,
} from '@cdktf/provider-aws/lib/cloudwatch-metric-alarm';
import type { ITerraformDependable } from 'cdktf';
import { Construct } from 'constructs';

import { partitionOf } from '../../partition';
import { LINE_METRICS } from './logs';
import { METRIC_DIMENSION, METRIC_NAMESPACE } from './names';

export interface AlarmsProps {
  readonly name: string;
  readonly region: string;
  readonly instanceId: string;
  readonly topicArn: string;
  /** A machine that boots is silent and busy, and the deploy itself watches it: they come after it has answered. */
  readonly dependsOn: readonly ITerraformDependable[];
}

const MINUTE = 60;
const FIVE_MINUTES = 300;
const HOUR = 3600;

type Alarm = Omit<CloudwatchMetricAlarmConfig, 'alarmName' | 'alarmDescription' | 'evaluationPeriods'> &
  Partial<Pick<CloudwatchMetricAlarmConfig, 'evaluationPeriods'>>;

/** What several alarms have in common. */
type Source = Pick<Alarm, 'namespace' | 'dimensions' | 'statistic' | 'period'>;

/** Of five minutes each: a quarter of an hour. */
const PERIODS = 3;

/**
 * What somebody should be told of; 0.10 USD a month each. Two cores are busy, and one request is slow, whenever a long
 * answer is given, so thresholds on load and latency must be passed for a quarter of an hour: that is a state, not a
 * request.
 */
export class Alarms extends Construct {
  constructor(scope: Construct, id: string, { name, region, instanceId, topicArn, dependsOn }: AlarmsProps) {
    super(scope, id);

    const own: Source = {
      namespace: METRIC_NAMESPACE,
      dimensions: { [METRIC_DIMENSION]: name },
      period: FIVE_MINUTES,
    };
    const ofInstance: Source = {
      namespace: 'AWS/EC2',
      dimensions: { InstanceId: instanceId },
      statistic: 'Maximum',
      period: MINUTE,
    };
    const automate = (action: string) => `arn:${partitionOf(region)}:automate:${region}:ec2:${action}`;

    const alarm = (what: string, description: string, config: Alarm) =>
      new CloudwatchMetricAlarm(this, what, {
        treatMissingData: 'notBreaching',
        ...config,
        evaluationPeriods: config.evaluationPeriods ?? PERIODS,
        alarmName: `${name}-${what}`,
        alarmDescription: description,
        alarmActions: [topicArn, ...(config.alarmActions ?? [])],
        dependsOn: [...dependsOn],
      });

    alarm('cpu', 'Over 85 % of the CPU in use for 15 minutes: more is asked than this instance type gives.', {
      ...ofInstance,
      metricName: 'CPUUtilization',
      statistic: 'Average',
      period: FIVE_MINUTES,
      comparisonOperator: 'GreaterThanThreshold',
      threshold: 85,
    });
    alarm('memory-available', 'Less than 500 MB of memory left for 15 minutes.', {
      ...own,
      metricName: 'mem_available',
      statistic: 'Average',
      comparisonOperator: 'LessThanThreshold',
      threshold: 500_000_000,
    });
    alarm('memory-used', 'Over 90 % of the memory in use for 15 minutes.', {
      ...own,
      metricName: 'mem_used_percent',
      statistic: 'Average',
      comparisonOperator: 'GreaterThanThreshold',
      threshold: 90,
    });
    alarm('disk', 'Over 85 % of the disk in use: raise diskGiB, or see what fills it.', {
      ...own,
      metricName: 'disk_used_percent',
      statistic: 'Maximum',
      evaluationPeriods: 1,
      comparisonOperator: 'GreaterThanThreshold',
      threshold: 85,
    });
    // Not the time of whole answers: that one follows the length that was asked for, and says nothing about the service.
    alarm('first-token', 'One answer in a hundred begins later than 2 s after its request, for 15 minutes.', {
      ...own,
      metricName: 'TimeToFirstToken',
      extendedStatistic: 'p99',
      comparisonOperator: 'GreaterThanThreshold',
      threshold: 2,
    });
    alarm('token-latency', 'Answers come at less than 4 tokens a second, slower than people read.', {
      ...own,
      metricName: 'TokenLatency',
      extendedStatistic: 'p99',
      comparisonOperator: 'GreaterThanThreshold',
      threshold: 0.25,
    });
    this.errorRate(alarm, own);
    // Says so in both ways: the model does not answer, or nobody says whether it does (then the alarm lacks data).
    alarm('unavailable', 'The model has not answered for 5 minutes; without data: the machine is silent.', {
      ...own,
      metricName: 'EngineReady',
      statistic: 'Minimum',
      period: MINUTE,
      evaluationPeriods: 5,
      comparisonOperator: 'LessThanThreshold',
      threshold: 1,
      treatMissingData: 'missing',
      insufficientDataActions: [topicArn],
    });
    // It is renewed 30 days before its end, so somebody has two weeks for whatever keeps it from that.
    alarm('certificate', "The endpoint's certificate ends in less than 14 days: see the log group service.", {
      ...own,
      metricName: 'CertificateDaysLeft',
      statistic: 'Minimum',
      period: HOUR,
      evaluationPeriods: 1,
      comparisonOperator: 'LessThanThreshold',
      threshold: 14,
    });
    alarm('error-lines', 'Five or more ERR lines in five minutes: see the log group service.', {
      namespace: METRIC_NAMESPACE,
      metricName: `${LINE_METRICS.ERR}-${name}`,
      statistic: 'Sum',
      period: FIVE_MINUTES,
      evaluationPeriods: 1,
      comparisonOperator: 'GreaterThanOrEqualToThreshold',
      threshold: 5,
    });
    alarm('security-lines', 'Fifty or more SEC lines in five minutes: somebody tries keys.', {
      namespace: METRIC_NAMESPACE,
      metricName: `${LINE_METRICS.SEC}-${name}`,
      statistic: 'Sum',
      period: FIVE_MINUTES,
      evaluationPeriods: 1,
      comparisonOperator: 'GreaterThanOrEqualToThreshold',
      threshold: 50,
    });
    alarm('host-failed', 'AWS finds a fault of the host: the machine is moved to another, with its disk.', {
      ...ofInstance,
      metricName: 'StatusCheckFailed_System',
      evaluationPeriods: 2,
      comparisonOperator: 'GreaterThanOrEqualToThreshold',
      threshold: 1,
      alarmActions: [automate('recover')],
    });
    alarm('machine-failed', 'The machine does not answer AWS: it is rebooted.', {
      ...ofInstance,
      metricName: 'StatusCheckFailed_Instance',
      // A boot takes some of them.
      evaluationPeriods: 5,
      comparisonOperator: 'GreaterThanOrEqualToThreshold',
      threshold: 1,
      alarmActions: [automate('reboot')],
    });
  }

  private errorRate(
    alarm: (what: string, description: string, config: Alarm) => CloudwatchMetricAlarm,
    { namespace, dimensions }: Source,
  ): void {
    const sum = (id: string, metricName: string) => ({
      id,
      metric: { namespace, dimensions, metricName, period: FIVE_MINUTES, stat: 'Sum' },
    });
    alarm('error-rate', 'Over 5 % of the requests failed, in two of three five-minute periods.', {
      datapointsToAlarm: 2,
      comparisonOperator: 'GreaterThanThreshold',
      threshold: 5,
      metricQuery: [
        {
          id: 'rate',
          expression: 'IF(requests > 0, 100 * errors / requests, 0)',
          label: 'failed requests in %',
          returnData: true,
        },
        sum('errors', 'Errors'),
        sum('requests', 'Requests'),
      ],
    });
  }
}
