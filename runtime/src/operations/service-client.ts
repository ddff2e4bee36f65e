/** Asks the running service on loopback: how it is, and whether it answers. */
import { setTimeout as sleep } from 'node:timers/promises';

import { ApiKeys } from '../access/api-keys.js';
import { keySource } from '../access/key-source.js';
import { counted } from '../errors/counted.js';
import { serviceEnvironment, installedConfig, type Installation } from './installation.js';
import { findService } from './service-process.js';

const PROBE_MS = 5000;
/** Longer than the unit's TimeoutStartSec: the largest model that fits is read from a slow disk. */
const READY_MS = 230_000;
/** So long without its process, in milliseconds, and it has ended: longer than it takes to be started. */
const GONE_MS = 5000;
const ANSWER_MS = 120_000;
const POLL_MS = 250;
/**
 * A connection for each request: over one that is kept open, the process that a reload has retired would answer, and not
 * the one that took over.
 */
const CONNECTION = { connection: 'close' } as const;

export interface MetricSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Of `/metrics`, which loopback may read without a token. Undefined when nothing that is a bot answers there. */
export async function readMetrics(port: number): Promise<readonly MetricSample[] | undefined> {
  const text = await get(`http://127.0.0.1:${port}/metrics`);
  if (text?.status !== 200) return undefined;
  const samples = parseMetrics(text.body);
  return samples.some(({ name }) => name === 'botstack_build_info') ? samples : undefined;
}

export async function isReady(port: number): Promise<boolean> {
  return (await get(`http://127.0.0.1:${port}/readyz`))?.status === 200;
}

/** What has to be true of the service that answers. */
export interface Expectation {
  readonly version?: string;
  readonly model?: string;
}

/**
 * Waits until the service is ready and is what it should be, then asks it a question with the API key.
 *
 * @returns a line that says what answered
 * @throws Error with the cause
 */
export async function proveAnswer(
  installation: Pick<Installation, 'layout' | 'configFile'>,
  expected: Expectation,
): Promise<string> {
  const config = installedConfig(installation);
  const port = config.network.internal_port;
  await untilReady(port, installation.configFile);
  const running = (await readMetrics(port))?.find(({ name }) => name === 'botstack_build_info')?.labels ?? {};
  for (const key of ['version', 'model'] as const) {
    if (expected[key] !== undefined && running[key] !== expected[key]) {
      throw new Error(`${key} ${running[key] ?? 'unknown'} answers on port ${port}, not ${expected[key]}`);
    }
  }
  const key = await readApiKey(installation);
  const from = performance.now();
  const words = await ask(port, key, running['model']);
  const seconds = ((performance.now() - from) / 1000).toFixed(1);
  return `version ${running['version']} with model ${running['model']} answered ${words} in ${seconds} s`;
}

/** The key with which the service is asked. @throws SecretError when it cannot be had */
export async function readApiKey(installation: Pick<Installation, 'layout' | 'configFile'>): Promise<string> {
  const environment = serviceEnvironment(installation.layout, process.env);
  const { source } = keySource(installedConfig(installation), environment);
  const keys = await ApiKeys.open({ source, refreshIntervalMs: 0, onProblem: () => undefined });
  return keys.current()[0]?.value ?? '';
}

/** A service that has ended will not get ready: that is not waited for. */
async function untilReady(port: number, configFile: string): Promise<void> {
  const deadline = Date.now() + READY_MS;
  let aliveAt = Date.now();
  while (!(await isReady(port))) {
    if (findService(configFile) !== undefined) aliveAt = Date.now();
    if (Date.now() - aliveAt > GONE_MS)
      throw new Error('the service ended before it was ready; `bot logs` says why');
    if (Date.now() > deadline) {
      throw new Error(
        `the service was not ready on port ${port} within ${READY_MS / 1000} s; \`bot logs\` says why`,
      );
    }
    await sleep(POLL_MS);
  }
}

async function ask(port: number, key: string, model: string | undefined): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
    method: 'POST',
    headers: { ...CONNECTION, 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify({
      model,
      messages: [{ role: 'user', content: 'Say hello.' }],
      max_tokens: 8,
      temperature: 0,
    }),
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  const body = (await response.json().catch(() => ({}))) as {
    error?: { message?: string };
    usage?: { completion_tokens?: number };
  };
  if (!response.ok) {
    throw new Error(
      `the service answers a chat with ${response.status}: ${body.error?.message ?? 'no reason'}`,
    );
  }
  const tokens = body.usage?.completion_tokens ?? 0;
  if (tokens < 1) throw new Error('the service answers a chat with nothing');
  return `with ${counted(tokens, 'token')}`;
}

async function get(url: string): Promise<{ readonly status: number; readonly body: string } | undefined> {
  try {
    const response = await fetch(url, { headers: CONNECTION, signal: AbortSignal.timeout(PROBE_MS) });
    return { status: response.status, body: await response.text() };
  } catch {
    return undefined;
  }
}

/** Prometheus's text format: `name{label="value"} number`. */
export function parseMetrics(text: string): readonly MetricSample[] {
  return text.split('\n').flatMap((line) => {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (match === null) return [];
    const [, name = '', labels = '', value = ''] = match;
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key = '', quoted = '']) => [
      key,
      quoted.replace(/\\(.)/g, (_all, escaped: string) => (escaped === 'n' ? '\n' : escaped)),
    ]);
    return [{ name, labels: Object.fromEntries(pairs) as Record<string, string>, value: Number(value) }];
  });
}
