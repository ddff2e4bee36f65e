import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { EXCHANGE_INTERVAL_MS } from '../../runtime/src/state-copy/shared-object';
import { GPU_INSTANCE_TYPES, INSTANCE_TYPES, type InstanceType, monthlyUsd } from '../../stacks/catalogue';
import {
  costLines,
  dollars,
  EXCHANGE_SECONDS,
  monthlyCost,
  type StoredSizes,
  total,
} from '../../stacks/cost';
import { PRICES_AS_OF } from '../../stacks/prices';
import type { BotProps } from '../../stacks/props';
import { resolveProps } from '../../stacks/props/resolve';
import { ROOT } from '../../stacks/version';

/** Of the bundle and the default model. */
const SIZES: StoredSizes = { bundleBytes: 55e6, modelBytes: 98e6 };

const cost = (props: BotProps) => total(monthlyCost(resolveProps(props), SIZES));

describe('monthlyCost', () => {
  it('is the sum of what AWS lists for each part', () => {
    // 730 h x 0.10264 + 50 x 0.08 + 730 h x 0.005 + 0.40 + 0.153 GB x 0.023 + 2 objects asked for every 30 s
    // x 0.0004 a thousand, and what watches it
    expect(cost({ monitoring: false, keyRotationDays: 0 })).toBeCloseTo(
      74.9272 + 4 + 3.65 + 0.4 + 0.0035 + 0.0701,
      3,
    );
    // 13 metrics x 0.30 + alarms on 14 metrics x 0.10 + 0.2 GB x 0.50, and two alarms
    expect(cost({}) - cost({ monitoring: false, keyRotationDays: 0 })).toBeCloseTo(5.4 + 0.2, 3);
  });

  it('counts the requests of the interval that the runtime has', () => {
    expect(EXCHANGE_SECONDS * 1000).toBe(EXCHANGE_INTERVAL_MS);
  });

  it('follows the machine and the disk', () => {
    expect(cost({ instanceType: 'c7g.large' }) - cost({})).toBeCloseTo(-22.0022, 3);
    expect(cost({ diskGiB: 100 }) - cost({})).toBeCloseTo(4, 3);
  });
});

describe('costLines', () => {
  it('says what for, of when and where the prices are, and what is not in it', () => {
    const [first, machine, ...rest] = costLines(resolveProps({ region: 'eu-central-1' }), SIZES);
    expect(first).toBe(
      'cost: about 89 USD a month (on demand, us-east-1, prices of 2025-11; eu-central-1 may differ by -5 to +60 %)',
    );
    expect(machine).toBe('    74.93  machine c7a.large');
    expect(rest.at(-1)).toMatch(/traffic out beyond 100 GB/);
  });
});

/** A table without what a formatter may change: the padding of its cells. */
const bare = (markdown: string) => markdown.replace(/ {2,}/g, ' ').replace(/-{3,}/g, '---');
const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');

describe("README's cost section", () => {
  const section = bare(readme.slice(readme.indexOf('\n## Cost'), readme.indexOf('\n## Operate')));

  it('lists what the defaults cost', () => {
    const items = monthlyCost(resolveProps({}), SIZES);
    for (const { what, usd } of items) expect(section).toContain(`| ${what} | ${dollars(usd)} |`);
    expect(section).toContain(`| **total** | **${dollars(total(items))}** |`);
    expect(section.match(/^\| /gm)).toHaveLength(items.length + 3);
    expect(section).toContain(`prices of ${PRICES_AS_OF}`);
  });
});

describe('docs/sizing.md', () => {
  const file = join(ROOT, 'docs', 'sizing.md');
  const speed = ({ speed: published }: InstanceType) =>
    published === undefined ? '–' : `${published.prefill} / ${published.decode}`;
  const row = (each: InstanceType, remark: string) =>
    `| \`${each.name}\` | ${each.vcpus} ${each.vcpuKind}s | ${each.memoryMiB / 1024} GiB | ${Math.round(monthlyUsd(each))} | ${speed(each)} | ${remark} |`;
  const table = [
    '| type | vCPUs | memory | USD a month | tokens/s | |',
    '| --- | --- | --- | --- | --- | --- |',
    ...INSTANCE_TYPES.map((each) =>
      row(each, each.burstable ? 'burstable' : each.architecture === 'arm64' ? 'Graviton' : ''),
    ),
    ...GPU_INSTANCE_TYPES.map((each) => row(each, `${each.gpu.name}; refused`)),
  ].join('\n');

  it('holds the catalogue (UPDATE_DOCS=1 writes it)', () => {
    const text = readFileSync(file, 'utf8');
    const [before = '', , after = ''] = text.split(/<!-- \/?catalogue -->/);
    const wanted = `${before}<!-- catalogue -->\n\n${table}\n\n<!-- /catalogue -->${after}`;
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(file, wanted);
    else expect(bare(text)).toBe(bare(wanted));
  });
});
