/** A real HTTP service on free ports, around a scripted engine. */
import { ApiKeys } from '../../../runtime/src/access/api-keys';
import { TokenRegister, type TokenRegisterOptions } from '../../../runtime/src/access/token-register';
import { openCaches, type ResponseCaches } from '../../../runtime/src/cache/open';
import type { RequestFigures } from '../../../runtime/src/metrics/cloudwatch';
import { modelsOf } from '../../../runtime/src/config/models';
import { configSchema, type BotConfig } from '../../../runtime/src/config/schema';
import { createLogger, type Logger } from '../../../runtime/src/log/logger';
import { createLogRing } from '../../../runtime/src/log/sinks';
import { PolicyStore } from '../../../runtime/src/policy/store';
import { startServer, type RunningServer } from '../../../runtime/src/server/server';
import type { ModelSwitch } from '../../../runtime/src/serving/model-switch';
import { ServedModels } from '../../../runtime/src/serving/served-models';
import { ScriptedEngine } from './scripted-engine';

export const API_KEY = 'test-key-0123456789abcdef';

export interface TestService {
  readonly engine: ScriptedEngine;
  readonly server: RunningServer;
  readonly url: string;
  readonly consoleUrl: string;
  /** What was logged since the start. */
  logged(): readonly string[];
  /** An authenticated request; the body, if any, as JSON. */
  call(path: string, body?: unknown, init?: RequestInit): Promise<Response>;
}

export interface TestServiceOptions {
  readonly engine?: ScriptedEngine;
  /** Of the further models that `config` names, in their order. */
  readonly others?: readonly ScriptedEngine[];
  readonly config?: object;
  /** What a switch of models does. Without it, there is none. */
  readonly switchModel?: ModelSwitch['run'];
  readonly keys?: ApiKeys;
  /** Keeps a register of tokens and an access policy here. */
  readonly stateDirectory?: string;
  readonly consoleDirectory?: string;
  readonly recordRequest?: (figures: RequestFigures) => void;
}

const running: RunningServer[] = [];
const registers: TokenRegister[] = [];
const policies: PolicyStore[] = [];
const caches: ResponseCaches[] = [];

/** Call at the top of a test file that uses `startTestService`. */
export function stopTestServices(): void {
  afterEach(async () => {
    for (const store of [...registers.splice(0), ...policies.splice(0)]) store.close();
    await Promise.all(running.splice(0).map((server) => server.close(0)));
    await Promise.all(caches.splice(0).map((cache) => cache.close()));
  });
}

export function testConfig(overrides: object = {}): BotConfig {
  return configSchema.parse({ api_key: API_KEY, model_path: '/none.gguf', ...overrides });
}

export async function startTestService(options: TestServiceOptions = {}): Promise<TestService> {
  const engine = options.engine ?? new ScriptedEngine();
  const ring = createLogRing();
  const keys = options.keys ?? (await literalKeys(API_KEY));
  const log = createLogger([ring]);
  const register = await openRegister(options.stateDirectory, keys, log);
  const config = testConfig(options.config);
  const policy = await PolicyStore.open({
    directory: options.stateDirectory,
    maxRequestSeconds: config.limits.max_request_seconds,
    log: (level, text) => log.log(level, text),
  });
  policy.follow();
  policies.push(policy);
  const cached = await openCaches(config, keys, '0.0.0-test', log);
  caches.push(cached);
  const engines = [engine, ...(options.others ?? [])];
  const models = new ServedModels(
    await Promise.all(
      engines.map(async (each, index) => {
        const model = modelsOf(config)[index]!;
        return { config: model, engine: each, cache: await cached.of(model) };
      }),
    ),
    config.limits.max_queue,
  );
  const server = await startServer({
    config,
    models,
    modelSwitch: options.switchModel && ({ run: options.switchModel } as ModelSwitch),
    keys,
    register,
    policy,
    log,
    ring,
    version: '0.0.0-test',
    recordRequest: options.recordRequest,
    consoleDirectory: options.consoleDirectory ?? __dirname,
    ports: { api: 0, console: 0 },
  });
  running.push(server);
  const url = `http://127.0.0.1:${server.apiPort}`;
  const linesOfStart = ring.lines().length;
  return {
    engine,
    server,
    url,
    consoleUrl: `http://127.0.0.1:${server.consolePort}`,
    logged: () => ring.lines().slice(linesOfStart),
    call: (path, body, init) =>
      fetch(url + path, {
        ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
        ...init,
        headers: { Authorization: `Bearer ${API_KEY}`, 'Content-Type': 'application/json', ...init?.headers },
      }),
  };
}

async function openRegister(directory: string | undefined, keys: ApiKeys, logger: Logger) {
  if (directory === undefined) return undefined;
  const log: TokenRegisterOptions['log'] = (level, text) => logger.log(level, text);
  const register = await TokenRegister.open({ directory, encryption: 'AES-256-GCM', keys, log });
  register.follow();
  registers.push(register);
  return register;
}

export function literalKeys(...keys: readonly string[]): Promise<ApiKeys> {
  return ApiKeys.open({ source: async () => keys, refreshIntervalMs: 0, onProblem: () => undefined });
}

/** Waits until the condition holds, for at most ten seconds. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 40_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited 40 s in vain for ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The `data:` payloads of a stream, in order. */
export function eventsOf(text: string): readonly string[] {
  return text
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => event.slice('data: '.length));
}
