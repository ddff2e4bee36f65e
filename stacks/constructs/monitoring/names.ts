/** Names that the machine, the runtime and the alarms have to agree on. */

/** Of the metrics that the runtime (runtime/src/metrics/cloudwatch.ts) and the CloudWatch agent publish. */
export const METRIC_NAMESPACE = 'Botstack';

/** The one dimension of all of them; its value is the deployment's name. So they go on when a machine is replaced. */
export const METRIC_DIMENSION = 'Deployment';

/** What the log groups begin with. */
export function logGroupPrefix(name: string): string {
  return `/botstack/${name}`;
}
