import { CloudWatchMetrics, type RequestFigures } from '../../../runtime/src/metrics/cloudwatch';
import { createLogRing } from '../../../runtime/src/log/sinks';

interface Line {
  readonly _aws: {
    readonly Timestamp: number;
    readonly CloudWatchMetrics: readonly {
      readonly Namespace: string;
      readonly Dimensions: readonly (readonly string[])[];
      readonly Metrics: readonly { readonly Name: string; readonly Unit: string }[];
    }[];
  };
  readonly [key: string]: unknown;
}

function start(isReady = true) {
  const ring = createLogRing();
  let closed = 0;
  const sink = { write: ring.write.bind(ring), close: () => (closed += 1) };
  const metrics = new CloudWatchMetrics({
    deployment: 'team',
    sink,
    isReady: () => isReady,
    now: () => 1e12,
  });
  const lines = () => ring.lines().map((line) => JSON.parse(line) as Line);
  return { metrics, lines, closed: () => closed };
}

const ANSWER: RequestFigures = {
  failed: false,
  firstTokenSeconds: 0.12345678,
  tokenSeconds: 0.05,
  totalSeconds: 2,
  tokens: 30,
};

describe('CloudWatchMetrics', () => {
  it('says how long the certificate is valid once that is known', () => {
    const ring = createLogRing();
    const certificate: { daysLeft?: number } = {};
    const sink = { write: ring.write.bind(ring), close: () => undefined };
    const metrics = new CloudWatchMetrics({
      deployment: 'team',
      sink,
      isReady: () => true,
      certificateDaysLeft: () => certificate.daysLeft,
    });
    metrics.flush();
    certificate.daysLeft = 12;
    metrics.close();
    const [before, after] = ring.lines().map((line) => JSON.parse(line) as Line);
    expect(before).not.toHaveProperty('CertificateDaysLeft');
    expect(after).toMatchObject({ CertificateDaysLeft: 12 });
    expect(after?._aws.CloudWatchMetrics[0]?.Metrics).toContainEqual({
      Name: 'CertificateDaysLeft',
      Unit: 'None',
    });
  });

  it('writes a line that CloudWatch makes metrics of: each value named, with its unit and dimension', () => {
    const { metrics, lines } = start();
    metrics.record(ANSWER);
    metrics.record({ failed: true });
    metrics.flush();
    const [line] = lines();
    expect(line).toMatchObject({
      Deployment: 'team',
      TimeToFirstToken: [0.1235],
      TokenLatency: [0.05],
      RequestLatency: [2],
      GeneratedTokens: 30,
      Requests: 2,
      Errors: 1,
      EngineReady: 1,
      _aws: { Timestamp: 1e12, CloudWatchMetrics: [{ Namespace: 'Botstack', Dimensions: [['Deployment']] }] },
    });
    const { _aws: aws, ...values } = line!;
    const names = aws.CloudWatchMetrics[0]?.Metrics.map(({ Name }) => Name) ?? [];
    expect(['Deployment', ...names].sort()).toEqual(Object.keys(values).sort());
    metrics.close();
  });

  it('writes also when nothing was asked, and begins anew each time', () => {
    const { metrics, lines } = start(false);
    metrics.record(ANSWER);
    metrics.flush();
    metrics.flush();
    expect(lines()[1]).toMatchObject({ Requests: 0, Errors: 0, GeneratedTokens: 0, EngineReady: 0 });
    expect(lines()[1]).not.toHaveProperty('TimeToFirstToken');
    metrics.close();
  });

  it('keeps to a hundred values in a list, and counts each request once', () => {
    const { metrics, lines } = start();
    for (let request = 0; request < 250; request++) metrics.record(ANSWER);
    metrics.flush();
    expect(lines().map((line) => (line['TimeToFirstToken'] as number[]).length)).toEqual([100, 100, 50]);
    expect(lines().map((line) => line['Requests'])).toEqual([250, undefined, undefined]);
    metrics.close();
  });

  it('writes what is left when it is closed, and closes its file', () => {
    const { metrics, lines, closed } = start();
    metrics.record(ANSWER);
    metrics.close();
    expect(lines()).toHaveLength(1);
    expect(closed()).toBe(1);
  });
});
