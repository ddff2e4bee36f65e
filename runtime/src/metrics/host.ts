/** The machine's load and memory at /metrics, so that the alert rules need no second exporter beside the service. */
import { cpus, freemem, totalmem } from 'node:os';

import { Counter, Gauge, type Registry } from 'prom-client';

export function registerHostMetrics(registry: Registry, prefix: string): void {
  const registers = [registry];
  new Counter({
    name: `${prefix}host_cpu_seconds_total`,
    help: 'Seconds of all processors of the machine since its boot, by what they did: busy or idle.',
    labelNames: ['mode'],
    registers,
    collect() {
      this.reset();
      const seconds = cpuSeconds();
      this.inc({ mode: 'busy' }, seconds.busy);
      this.inc({ mode: 'idle' }, seconds.idle);
    },
  });
  new Gauge({
    name: `${prefix}host_memory_bytes`,
    help: 'Memory of the machine.',
    registers,
  }).set(totalmem());
  new Gauge({
    name: `${prefix}host_memory_available_bytes`,
    help: "Memory that a program could still get: the kernel's MemAvailable.",
    registers,
    collect() {
      this.set(freemem());
    },
  });
}

function cpuSeconds(): { readonly busy: number; readonly idle: number } {
  let [busy, idle] = [0, 0];
  for (const { times } of cpus()) {
    idle += times.idle;
    busy += times.user + times.nice + times.sys + times.irq;
  }
  return { busy: busy / 1000, idle: idle / 1000 };
}
