/** What a deployment costs in a month, item by item; printed at each synth, and the source of README's cost section. */
import { findInstanceType, monthlyUsd } from './catalogue';
import { STATE_KEYS } from './constructs/artifacts';
import { HOURS_PER_MONTH, PRICE_REGION, PRICES, PRICES_AS_OF } from './prices';
import type { ResolvedProps } from './props';

export interface CostItem {
  readonly what: string;
  /** US dollars a month. */
  readonly usd: number;
}

/** Sizes in bytes of what lies in the bucket. */
export interface StoredSizes {
  readonly bundleBytes: number;
  readonly modelBytes: number;
}

/** What stacks/constructs/monitoring makes; a test counts. AWS bills an alarm for each metric that it looks at. */
export const MONITORING = { metrics: 13, alarms: 13, alarmMetrics: 14 };
/** Lines of a service that is asked some thousand times a day. A guess, too. */
const LOG_GB = 0.2;
/** One for each function of constructs/key-rotation.ts, which cost nothing themselves. */
export const ROTATION_ALARMS = 2;
/** How often the machine asks whether the state that it shares has changed: runtime/src/state-copy/shared-object.ts. */
export const EXCHANGE_SECONDS = 30;
/** What the disk holds before anybody has used it, in GB: the system, the model, the runtime. */
const USED_DISK_GB = 4;
/** Blocks that change in a day (logs, packages), in GB: a guess. */
const CHANGED_GB_A_DAY = 0.1;

export function monthlyCost(props: ResolvedProps, { bundleBytes, modelBytes }: StoredSizes): CostItem[] {
  const instance = findInstanceType(props.instanceType);
  if (instance === undefined) {
    throw new Error(`instanceType ${props.instanceType} is not in the catalogue: resolveProps checks that`);
  }
  const storedGB = (bundleBytes + modelBytes) / 1e9;
  const exchanges = (STATE_KEYS.length * HOURS_PER_MONTH * 3600) / EXCHANGE_SECONDS;
  const items: CostItem[] = [
    { what: `machine ${instance.name}`, usd: monthlyUsd(instance) },
    { what: `disk of ${props.diskGiB} GiB`, usd: props.diskGiB * PRICES.diskGiBMonth },
    { what: 'public IPv4 address', usd: PRICES.publicAddressHour * HOURS_PER_MONTH },
    { what: 'secret', usd: PRICES.secretMonth },
    {
      what: `bucket with ${storedGB.toFixed(1)} GB`,
      usd: storedGB * PRICES.objectGBMonth + exchanges * PRICES.objectGet,
    },
  ];
  if (props.monitoring) {
    const { metrics, alarms, alarmMetrics } = MONITORING;
    items.push({
      what: `monitoring: ${metrics} metrics, ${alarms} alarms on ${alarmMetrics}, ${LOG_GB} GB of logs`,
      usd: metrics * PRICES.metricMonth + alarmMetrics * PRICES.alarmMonth + LOG_GB * PRICES.logGB,
    });
  }
  if (props.keyRotationDays > 0) {
    items.push({ what: 'alarms of the key rotation', usd: ROTATION_ALARMS * PRICES.alarmMonth });
  }
  if (props.backup !== undefined) {
    const { keepDays } = props.backup;
    const snapshotGB = USED_DISK_GB + CHANGED_GB_A_DAY * (keepDays - 1);
    items.push({
      what: `snapshots of ${keepDays === 1 ? 'one day' : `${keepDays} days`}`,
      usd: snapshotGB * PRICES.snapshotGBMonth,
    });
  }
  return items;
}

export function total(items: readonly CostItem[]): number {
  return items.reduce((sum, { usd }) => sum + usd, 0);
}

/** The estimate as it is printed: a line for each item, and what it leaves out. */
export function costLines(props: ResolvedProps, sizes: StoredSizes): string[] {
  const items = monthlyCost(props, sizes);
  const place = props.region === PRICE_REGION ? '' : `; ${props.region} may differ by -5 to +60 %`;
  return [
    `cost: about ${Math.round(total(items))} USD a month (on demand, ${PRICE_REGION}, prices of ${PRICES_AS_OF}${place})`,
    ...items.map(({ what, usd }) => `  ${dollars(usd).padStart(7)}  ${what}`),
    `  traffic out beyond 100 GB a month comes on top, at ${PRICES.trafficGB} USD a GB`,
  ];
}

export function dollars(usd: number): string {
  return usd.toFixed(2);
}
