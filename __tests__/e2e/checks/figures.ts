/** What the runtime writes for CloudWatch. The agent that ships it has nobody to ship to here, and is not installed. */
import assert from 'node:assert/strict';
import type { Report } from '../report';
import type { Subject } from './subject';

interface Figures {
  readonly _aws: { readonly CloudWatchMetrics: readonly { readonly Namespace: string }[] };
  readonly Deployment: string;
  readonly Requests?: number;
  readonly TimeToFirstToken?: readonly number[];
  readonly CertificateDaysLeft?: number;
}

/** After the service has ended once: then everything until there is written. */
export async function checkFigures(report: Report, { guest, deployment }: Subject): Promise<void> {
  await report.check('the figures of the requests are in metrics.log, with every first token', async () => {
    const { stdout } = await guest.exec(['cat', '/var/log/bot/metrics.log']);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Figures);
    for (const { _aws: aws, Deployment: name } of lines) {
      assert.equal(aws.CloudWatchMetrics[0]?.Namespace, 'Botstack');
      assert.equal(name, deployment.switches.name);
    }
    const requests = lines.reduce((sum, line) => sum + (line.Requests ?? 0), 0);
    const firstTokens = lines.flatMap((line) => line.TimeToFirstToken ?? []);
    assert.ok(requests >= 5 && firstTokens.length >= 5, stdout);
    assert.ok(Math.max(...firstTokens) < 60, `a first token took ${Math.max(...firstTokens)} s`);
    // The bootstrap's own, of 825 days.
    const days = lines.flatMap((line) => line.CertificateDaysLeft ?? []);
    assert.ok(
      days.length > 0 && days.every((left) => left >= 823),
      `days left of the certificate: ${days.join()}`,
    );
    return `${requests} requests, ${firstTokens.length} first tokens in ${lines.length} lines`;
  });
}
