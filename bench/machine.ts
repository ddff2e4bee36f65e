import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** Above this, what is measured is the other programs: two threads that wait for each other lose most of their speed. */
export const BUSY = 0.1;

/** In general words: enough to judge the figures by. */
export function describeMachine(): string {
  const model = cpus()[0]?.model ?? 'unknown processor';
  const flags = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '';
  const vectors = ['amx_tile', 'avx512f', 'avx2'].find((flag) => flags.includes(flag)) ?? 'no AVX2';
  return `${cpus().length} cores, ${model}, ${vectors}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
}

/** The part of the processors' time that is used by anything at all, over a second: 0 is idle, 1 is full. */
export async function busyShare(): Promise<number> {
  const before = processorTimes();
  await sleep(1000);
  const after = processorTimes();
  const idle = after.idle - before.idle;
  return 1 - idle / (idle + after.busy - before.busy);
}

function processorTimes(): { idle: number; busy: number } {
  let [idle, busy] = [0, 0];
  for (const { times } of cpus()) {
    idle += times.idle;
    busy += times.user + times.nice + times.sys + times.irq;
  }
  return { idle, busy };
}
