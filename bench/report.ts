import { FIGURES, type FigureName } from './figures.js';
import type { ModelName } from './models.js';
import type { OwnRow } from './own-scenarios.js';
import { summarize, type Summary } from './statistics.js';

/** The values of one figure, one for each round, on both servers: `ours[i]` and `theirs[i]` ran back to back. */
export interface Pairs {
  readonly ours: number[];
  readonly theirs: number[];
}

export type Measurements = Partial<Record<FigureName, Pairs>>;

export interface Row {
  readonly figure: FigureName;
  readonly ours: Summary;
  readonly theirs: Summary;
  /** Ours to theirs, taken in each round: noise that both servers saw cancels out. */
  readonly ratio: Summary;
  /** Undefined where the figure has no target. */
  readonly target: number | undefined;
  readonly reached: boolean | undefined;
}

export function rowsOf(model: ModelName, measurements: Measurements): Row[] {
  return Object.entries(measurements).map(([name, pairs]) => {
    const figure = name as FigureName;
    const target = FIGURES[figure].target;
    const ratio = summarize(pairs.ours.map((ours, round) => ours / (pairs.theirs[round] ?? NaN)));
    // Compared as it is printed: 0.996 reads 1.00, and is.
    const printed = Number(ratio.median.toFixed(2));
    const limit = target?.ratio[model];
    return {
      figure,
      ours: summarize(pairs.ours),
      theirs: summarize(pairs.theirs),
      ratio,
      target: limit,
      reached:
        limit === undefined ? undefined : target?.is === 'at least' ? printed >= limit : printed <= limit,
    };
  });
}

/** Both servers side by side, as Markdown. */
export function table(rows: readonly Row[]): string {
  const header = ['', 'botstack', 'llama-server', 'ratio', 'target', 'reached'];
  const lines = rows.map((row) => {
    const { title, unit, target } = FIGURES[row.figure];
    const sign = target?.is === 'at least' ? '>=' : '<=';
    return [
      `${title}, ${unit}`,
      spread(row.ours),
      spread(row.theirs),
      spread(row.ratio, 2),
      row.target === undefined ? '' : `${sign} ${row.target}`,
      row.reached === undefined ? '' : row.reached ? 'yes' : 'no',
    ];
  });
  return markdown(header, lines);
}

/** What is judged by a limit of its own, and needs no other server. */
export function ownTable(rows: readonly OwnRow[]): string {
  return markdown(
    ['', 'requests', 'p50, ms', 'p90, ms', 'p99, ms', 'target, ms', 'reached'],
    rows.map(({ title, requests, p50, p90, p99, target, reached }) => [
      title,
      String(requests),
      ...[p50, p90, p99].map((ms) => ms.toFixed(2)),
      `p${target.share * 100} <= ${target.ms}`,
      reached ? 'yes' : 'no',
    ]),
  );
}

/** A table, aligned so that it also reads well on a terminal. */
function markdown(header: readonly string[], lines: readonly (readonly string[])[]): string {
  const widths = header.map((_, column) =>
    Math.max(...[header, ...lines].map((line) => line[column]?.length ?? 0)),
  );
  const print = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [
    print(header),
    `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`,
    ...lines.map(print),
  ].join('\n');
}

function spread(summary: Summary, digits?: number): string {
  const places = digits ?? (summary.median >= 100 ? 0 : summary.median >= 10 ? 1 : 3);
  const [median, min, max] = [summary.median, summary.min, summary.max].map((value) => value.toFixed(places));
  return min === max ? `${median}` : `${median} (${min}-${max})`;
}
