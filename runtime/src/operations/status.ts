/** How the running service is: what it says of itself on loopback, and what the machine says of its processes. */
import { readMetrics, isReady, type MetricSample } from './service-client.js';
import { findService } from './service-process.js';

export interface ServiceStatus {
  /** Whether anything that is a bot answers on the port. */
  readonly running: boolean;
  readonly ready: boolean;
  readonly port: number;
  readonly version?: string | undefined;
  /** The one that answers where none is named. */
  readonly model?: string | undefined;
  readonly models?: readonly ModelStatus[];
  readonly uptime_seconds?: number;
  readonly requests?: { readonly running: number; readonly waiting: number };
  readonly engine_restarts?: number;
  /** `total` includes the engine; absent where this user may not see the service's processes. */
  readonly memory_bytes?: { readonly http: number; readonly total?: number };
}

export interface ModelStatus {
  readonly name: string;
  readonly ready: boolean;
  readonly engine_restarts: number;
}

export async function readStatus(configFile: string, port: number): Promise<ServiceStatus> {
  const samples = await readMetrics(port);
  if (samples === undefined) return { running: false, ready: false, port };
  /** Of all models together, where a metric tells them apart. */
  const value = (name: string) =>
    samples.reduce((sum, sample) => (sample.name === name ? sum + sample.value : sum), 0);
  const build = labelsOf(samples, 'botstack_build_info');
  const total = findService(configFile)?.residentBytes;
  return {
    running: true,
    ready: await isReady(port),
    port,
    version: build['version'],
    model: build['model'],
    models: modelStatuses(samples),
    uptime_seconds: Math.max(0, Math.round(Date.now() / 1000 - value('process_start_time_seconds'))),
    requests: {
      running: value('botstack_num_requests_running'),
      waiting: value('botstack_num_requests_waiting'),
    },
    engine_restarts: value('botstack_engine_restarts'),
    memory_bytes: {
      http: value('process_resident_memory_bytes'),
      ...(total === undefined ? {} : { total }),
    },
  };
}

/** For people: a name and a value each. */
export function statusRows(status: ServiceStatus): readonly (readonly [string, string])[] {
  if (!status.running) {
    return [
      ['service', `nothing answers on port ${status.port}; \`bot doctor\` says why`],
      ['ready', 'no'],
    ];
  }
  const { requests, memory_bytes: memory } = status;
  return [
    ['service', `version ${status.version}, up ${duration(status.uptime_seconds ?? 0)}, port ${status.port}`],
    ['ready', status.ready ? 'yes' : 'no; the model is loading or restarting (`bot logs` says which)'],
    ['model', modelsText(status)],
    ['requests', `${requests?.running} running, ${requests?.waiting} waiting`],
    ['restarts', `${status.engine_restarts} of the engine since the start`],
    ['memory', memoryText(memory)],
  ];
}

function modelStatuses(samples: readonly MetricSample[]): readonly ModelStatus[] {
  return samples
    .filter(({ name }) => name === 'botstack_engine_ready')
    .map(({ labels: { model = '' }, value }) => ({
      name: model,
      ready: value === 1,
      engine_restarts:
        samples.find(({ name, labels }) => name === 'botstack_engine_restarts' && labels['model'] === model)
          ?.value ?? 0,
    }));
}

/** The default one first; with several, what is wrong with each. */
function modelsText({ model = 'unknown', models = [] }: ServiceStatus): string {
  if (models.length < 2) return model;
  return models.map(({ name, ready }) => (ready ? name : `${name} (not ready)`)).join(', ');
}

function memoryText(memory: ServiceStatus['memory_bytes']): string {
  if (memory === undefined) return 'unknown';
  const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
  return memory.total === undefined
    ? `${megabytes(memory.http)} of the HTTP process (as root: the engine too)`
    : `${megabytes(memory.total)}, ${megabytes(memory.http)} of them the HTTP process`;
}

function labelsOf(samples: readonly MetricSample[], name: string): Readonly<Record<string, string>> {
  return samples.find((sample) => sample.name === name)?.labels ?? {};
}

export function duration(seconds: number): string {
  const units = [
    [86_400, 'd'],
    [3600, 'h'],
    [60, 'min'],
  ] as const;
  for (const [size, unit] of units) {
    if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${seconds} s`;
}
