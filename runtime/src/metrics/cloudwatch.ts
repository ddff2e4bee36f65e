/**
 * The figures behind the alarms, as one line a minute in CloudWatch's embedded metric format: whoever ships the file to
 * CloudWatch Logs gets metrics without a request of its own. Single values and not sums, because percentiles need them.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
import type { LogSink } from '../log/logger.js';

export const NAMESPACE = 'Botstack';

/** How often figures are written: CloudWatch's own resolution. */
const INTERVAL_MS = 60_000;

/** Values that the format allows in one array. */
const VALUES_PER_LINE = 100;

/** nginx lets a client send ten requests a second; beyond this a minute's figures are a sample. */
const MAX_VALUES = 3000;

/** What one answered request contributes. Probes are not among them. */
export interface RequestFigures {
  /** The service's fault: status 5xx, or an answer that broke off. */
  readonly failed: boolean;
  /** From arrival to the first piece of the answer; undefined where there was none. */
  readonly firstTokenSeconds?: number;
  /** Mean time of one further token of the answer. */
  readonly tokenSeconds?: number;
  /** From arrival to the end of an answer. */
  readonly totalSeconds?: number;
  /** Of the answer. */
  readonly tokens?: number;
}

export interface CloudWatchMetricsOptions {
  /** Value of the dimension `Deployment`. */
  readonly deployment: string;
  /** Closed with the metrics. */
  readonly sink: LogSink & { close(): void };
  /** Whether the model answers. */
  readonly isReady: () => boolean;
  /** Days until the endpoint's certificate ends, where that is known. @default not reported */
  readonly certificateDaysLeft?: () => number | undefined;
  readonly now?: () => number;
}

type Unit = 'Seconds' | 'Count' | 'None';

/** Each metric with its unit. Every one of them costs 0.30 USD a month. */
const UNITS = {
  TimeToFirstToken: 'Seconds',
  TokenLatency: 'Seconds',
  RequestLatency: 'Seconds',
  GeneratedTokens: 'Count',
  Requests: 'Count',
  Errors: 'Count',
  EngineReady: 'None',
  CertificateDaysLeft: 'None',
} as const satisfies Record<string, Unit>;

type Metric = keyof typeof UNITS;

export class CloudWatchMetrics {
  readonly #options: CloudWatchMetricsOptions;
  readonly #timer: NodeJS.Timeout;
  #figures: RequestFigures[] = [];
  #requests = 0;
  #errors = 0;
  #tokens = 0;

  /** Writes until it is closed. The timer keeps no process alive. */
  constructor(options: CloudWatchMetricsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.flush(), INTERVAL_MS).unref();
  }

  record(figures: RequestFigures): void {
    this.#requests += 1;
    this.#errors += figures.failed ? 1 : 0;
    this.#tokens += figures.tokens ?? 0;
    if (this.#figures.length < MAX_VALUES) this.#figures.push(figures);
  }

  /** Also a minute without requests is written: silence means that the machine or the shipping is down. */
  flush(): void {
    const figures = this.#figures;
    const daysLeft = this.#options.certificateDaysLeft?.();
    const counts = {
      Requests: this.#requests,
      Errors: this.#errors,
      GeneratedTokens: this.#tokens,
      EngineReady: this.#options.isReady() ? 1 : 0,
      ...(daysLeft === undefined ? {} : { CertificateDaysLeft: daysLeft }),
    };
    this.#figures = [];
    this.#requests = this.#errors = this.#tokens = 0;
    for (let from = 0; from === 0 || from < figures.length; from += VALUES_PER_LINE) {
      const part = figures.slice(from, from + VALUES_PER_LINE);
      const values = {
        TimeToFirstToken: known(part.map((each) => each.firstTokenSeconds)),
        TokenLatency: known(part.map((each) => each.tokenSeconds)),
        RequestLatency: known(part.map((each) => each.totalSeconds)),
      };
      this.#options.sink.write(this.#line({ ...values, ...(from === 0 ? counts : {}) }));
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.flush();
    this.#options.sink.close();
  }

  #line(values: Partial<Record<Metric, number | readonly number[]>>): string {
    const present = (Object.entries(values) as [Metric, number | readonly number[]][]).filter(
      ([, value]) => typeof value === 'number' || value.length > 0,
    );
    return JSON.stringify({
      _aws: {
        Timestamp: (this.#options.now ?? Date.now)(),
        CloudWatchMetrics: [
          {
            Namespace: NAMESPACE,
            Dimensions: [['Deployment']],
            Metrics: present.map(([name]) => ({ Name: name, Unit: UNITS[name] })),
          },
        ],
      },
      Deployment: this.#options.deployment,
      ...Object.fromEntries(present),
    });
  }
}

/** Without what did not happen; to the tenth of a millisecond. */
function known(values: readonly (number | undefined)[]): number[] {
  return values.filter((value) => value !== undefined).map((value) => Number(value.toFixed(4)));
}
