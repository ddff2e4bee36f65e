import { CloudwatchDashboard } from '@cdktf/provider-aws/lib/cloudwatch-dashboard';
import { Construct } from 'constructs';

import { LINE_METRICS } from './logs';
import { logGroupPrefix, METRIC_DIMENSION, METRIC_NAMESPACE } from './names';

export interface DashboardProps {
  readonly name: string;
  readonly region: string;
  readonly instanceId: string;
}

/** One line of a graph: metric, statistic, legend. */
type Line = readonly [metric: string, stat: string, label: string];

/** Widgets are laid on a grid of 24 columns. */
const WIDTH = 8;
const HEIGHT = 6;
const COLUMNS = 24 / WIDTH;

/** What the alarms look at, over time. The first three dashboards of an account are free, others 3 USD a month. */
export class Dashboard extends Construct {
  readonly dashboardName: string;

  constructor(scope: Construct, id: string, { name, region, instanceId }: DashboardProps) {
    super(scope, id);

    const graph = (title: string, metrics: readonly (readonly unknown[])[], unit?: string) => ({
      type: 'metric',
      properties: {
        title,
        region,
        metrics,
        view: 'timeSeries',
        period: 60,
        yAxis: { left: { min: 0, ...(unit === undefined ? {} : { label: unit, showUnits: false }) } },
      },
    });
    const own = (lines: readonly Line[]) =>
      lines.map(([metric, stat, label]) => [
        METRIC_NAMESPACE,
        metric,
        METRIC_DIMENSION,
        name,
        { stat, label },
      ]);
    const levels = Object.entries(LINE_METRICS).map(([level, metric]) => [
      METRIC_NAMESPACE,
      `${metric}-${name}`,
      { stat: 'Sum', label: level },
    ]);

    const widgets = [
      graph(
        'Time to first token',
        own([
          ['TimeToFirstToken', 'p50', 'median'],
          ['TimeToFirstToken', 'p99', 'p99'],
        ]),
        's',
      ),
      graph(
        'Time per token',
        own([
          ['TokenLatency', 'p50', 'median'],
          ['TokenLatency', 'p99', 'p99'],
        ]),
        's',
      ),
      graph(
        'Time of whole answers',
        own([
          ['RequestLatency', 'p50', 'median'],
          ['RequestLatency', 'p99', 'p99'],
        ]),
        's',
      ),
      graph(
        'Requests a minute',
        own([
          ['Requests', 'Sum', 'all'],
          ['Errors', 'Sum', 'failed'],
        ]),
      ),
      graph('Tokens generated a minute', own([['GeneratedTokens', 'Sum', 'tokens']])),
      graph('ERR and SEC lines a minute', levels),
      graph(
        'CPU',
        [['AWS/EC2', 'CPUUtilization', 'InstanceId', instanceId, { stat: 'Average', period: 300 }]],
        '%',
      ),
      graph(
        'Memory and disk in use',
        own([
          ['mem_used_percent', 'Average', 'memory'],
          ['disk_used_percent', 'Average', 'disk'],
        ]),
        '%',
      ),
      {
        type: 'log',
        properties: {
          title: 'Last errors and refusals',
          region,
          view: 'table',
          query: `SOURCE '${logGroupPrefix(name)}/service' | fields @timestamp, @message | filter @message like /\\] \\[(ERR|SEC)\\]/ | sort @timestamp desc | limit 50`,
        },
      },
    ].map((widget, index) => ({
      ...widget,
      x: (index % COLUMNS) * WIDTH,
      y: Math.floor(index / COLUMNS) * HEIGHT,
      width: WIDTH,
      height: HEIGHT,
    }));

    this.dashboardName = new CloudwatchDashboard(this, 'dashboard', {
      dashboardName: name,
      dashboardBody: JSON.stringify({ widgets }),
    }).dashboardName;
  }
}
