import { CloudwatchLogGroup } from '@cdktf/provider-aws/lib/cloudwatch-log-group';
import { CloudwatchLogMetricFilter } from '@cdktf/provider-aws/lib/cloudwatch-log-metric-filter';
import { Construct } from 'constructs';

import { logGroupPrefix, METRIC_NAMESPACE } from './names';

export interface LogsProps {
  readonly name: string;
  readonly retentionDays: number;
}

/**
 * Where the agent puts what it reads (see cloud-init/files/cloudwatch-agent.json): what the service says; nginx's line
 * for each request; the journal from notice upwards and the bootstrap; the runtime's figures in embedded metric format,
 * of which CloudWatch makes metrics on arrival.
 */
type Group = 'service' | 'access' | 'system' | 'metrics';

/** The figures live on as metrics; their lines are of use only while somebody looks into a fault. */
const METRICS_RETENTION_DAYS = 3;

/** Lines of a level per minute, as metrics. */
export const LINE_METRICS = { ERR: 'ErrorLines', SEC: 'SecurityLines' } as const;

/** Log groups, removed with the deployment; 0.50 USD for each GB that comes in, 0.03 a month for each that is kept. */
export class Logs extends Construct {
  readonly arns: readonly string[];

  constructor(scope: Construct, id: string, { name, retentionDays }: LogsProps) {
    super(scope, id);

    const group = (suffix: Group) =>
      new CloudwatchLogGroup(this, suffix, {
        // Made here and not by the agent, which would keep them for ever, and after a destroy.
        name: `${logGroupPrefix(name)}/${suffix}`,
        retentionInDays: suffix === 'metrics' ? METRICS_RETENTION_DAYS : retentionDays,
      });
    const service = group('service');
    this.arns = [service, group('access'), group('system'), group('metrics')].map(({ arn }) => arn);

    for (const [level, metric] of Object.entries(LINE_METRICS)) {
      new CloudwatchLogMetricFilter(this, level.toLowerCase(), {
        name: `${name}-${level}`,
        logGroupName: service.name,
        // From the line's beginning: a request's path may hold "[SEC]", too.
        pattern: `%^\\[.{19}\\]\\s\\[${level}\\]%`,
        metricTransformation: {
          // A filter's metric has no dimensions where it also has a default value, so the name carries the deployment.
          name: `${metric}-${name}`,
          namespace: METRIC_NAMESPACE,
          value: '1',
          defaultValue: '0',
          unit: 'Count',
        },
      });
    }
  }
}
