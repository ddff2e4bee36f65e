/** Orders the running service to serve another model file, and follows what it does. */
import { ApiKeys } from '../access/api-keys.js';
import { keySource } from '../access/key-source.js';
import type { SwitchLine } from '../api/operator-router.js';
import type { SwitchOrder } from '../serving/model-switch.js';
import { installedConfig, serviceEnvironment, type Installation } from './installation.js';
import { isReady } from './service-client.js';

/** The service sends signs of life more often. */
const SILENCE_MS = 60_000;

/** The service's own word: it has not changed models, and does not want the new file. */
export class SwitchRefused extends Error {}

/**
 * @returns the new model's name; undefined where no service runs that can switch: an older one, or none
 * @throws Error with the service's reason; the old model answers as before then
 */
export async function orderSwitch(
  installation: Installation,
  order: SwitchOrder,
): Promise<string | undefined> {
  const config = installedConfig(installation);
  const port = config.network.internal_port;
  if (!(await isReady(port))) return undefined;
  const { source } = keySource(config, serviceEnvironment(installation.layout, process.env));
  const keys = await ApiKeys.open({ source, refreshIntervalMs: 0, onProblem: () => undefined });
  const silent = new AbortController();
  const timer = setTimeout(
    () => silent.abort(new Error(`the service said nothing for ${SILENCE_MS / 1000} s`)),
    SILENCE_MS,
  );
  try {
    const response = await fetch(`http://127.0.0.1:${port}/operator/model`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${keys.current()[0]?.value ?? ''}`,
      },
      body: JSON.stringify(order),
      signal: silent.signal,
    });
    if (response.status === 404) return undefined;
    if (!response.ok)
      throw new SwitchRefused(
        `the service refuses the order (${response.status}): ${await reason(response)}`,
      );
    for await (const line of linesOf(response)) {
      timer.refresh();
      if ('error' in line) throw new SwitchRefused(line.error);
      if ('model' in line) return line.model;
      if ('step' in line) installation.say(line.step);
    }
    throw new Error('the service ended before the switch did; `bot logs` says why');
  } finally {
    clearTimeout(timer);
    silent.abort();
  }
}

async function* linesOf({ body }: Response): AsyncGenerator<SwitchLine, void> {
  let pending = '';
  const decoder = new TextDecoder();
  for await (const bytes of body ?? []) {
    pending += decoder.decode(bytes as Uint8Array, { stream: true });
    const lines = pending.split('\n');
    pending = lines.pop() ?? '';
    for (const line of lines) if (line !== '') yield JSON.parse(line) as SwitchLine;
  }
}

async function reason(response: Response): Promise<string> {
  const body = (await response.json().catch(() => ({}))) as { error?: { message?: string } };
  return body.error?.message ?? 'no reason';
}
