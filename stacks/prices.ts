/**
 * What AWS charges beside the machine, in US dollars. Written down and not asked for, so that a synth needs no network:
 * an estimate, which the bill may differ from by what has changed since, and by the region.
 */

/** Month of the lists that all prices here and in catalogue.ts are from. */
export const PRICES_AS_OF = '2025-11';

/** Where these prices hold. Others are between 5 % below and 60 % above. */
export const PRICE_REGION = 'us-east-1';

/** As AWS's own calculator counts. */
export const HOURS_PER_MONTH = 730;

export const PRICES = {
  /** gp3, each GiB a month, with 3,000 operations and 125 MB a second in it. */
  diskGiBMonth: 0.08,
  /** Each public IPv4 address, an hour, in use or not. IPv6 is free. */
  publicAddressHour: 0.005,
  secretMonth: 0.4,
  /** S3 Standard, each GB a month. */
  objectGBMonth: 0.023,
  /** S3, each GET, whether or not there was something new. */
  objectGet: 0.0000004,
  /** Standard snapshots, each GB of blocks that changed. */
  snapshotGBMonth: 0.05,
  /** CloudWatch Logs, each GB that comes in (0.03 more for each month that it is kept). */
  logGB: 0.5,
  /** CloudWatch, each metric of one's own (the first ten of an account are free). */
  metricMonth: 0.3,
  /** CloudWatch, each metric that an alarm looks at (the first ten of an account are free). */
  alarmMonth: 0.1,
  /** To the internet, each GB after the first 100 in a month. */
  trafficGB: 0.09,
} as const;
