/** `npm run load`: ten times the service's capacity. What it does and why stands in docs/performance.md. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { DEFAULT_CONTEXT_SIZE, DEFAULT_SEQUENCES } from '../runtime/src/engine/options.js';
import { buildBotService, startBotService } from './bot-service.js';
import { startChat } from './chat-client.js';
import type { Endpoint } from './chat-request.js';
import { runClient } from './load-clients.js';
import { LOAD_HELP, parseLoadOptions, type LoadOptions } from './load-options.js';
import { LoadRecord, type Aftermath } from './load-record.js';
import { describeMachine } from './machine.js';
import { MODEL_TITLES, provideModel } from './models.js';
import { longAnswer } from './prompts.js';
import type { RunningServer } from './server-process.js';

/** `limits.max_queue`, which stays at its default. */
const QUEUE = 16;
const CLIENTS = 10 * (DEFAULT_SEQUENCES + QUEUE);
const SETTINGS = { threads: 2, sequences: DEFAULT_SEQUENCES, contextSize: DEFAULT_CONTEXT_SIZE };
/** Small, so that it is full long before memory is judged. */
const PROMPT_CACHE_MIB = 64;
const SAMPLE_MS = 10_000;
/** After the last client has gone: an answer that nobody reads ends within a step. */
const SETTLE_MS = 10_000;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(options: LoadOptions, folder: string): Promise<boolean> {
  say('building the runtime');
  const version = await buildBotService();
  const modelPath = await provideModel(options.model, say);
  const service = await startBotService(
    { ...SETTINGS, modelPath, folder },
    { engine: { prompt_cache_mib: PROMPT_CACHE_MIB } },
  );
  try {
    say(`${describeMachine()}; ${version}; ${MODEL_TITLES[options.model]}`);
    say(`${CLIENTS} clients for ${options.minutes} minutes; room for ${DEFAULT_SEQUENCES} + ${QUEUE}`);
    const record = new LoadRecord();
    const seconds = await putLoadOn(service, options.minutes, record);
    const after = await lookAfterwards(service);
    say(`\n${record.table(seconds, after)}\n`);
    const problems = record.broken(seconds, after, DEFAULT_SEQUENCES);
    for (const problem of problems) say(`broken: ${problem}`);
    if (problems.length === 0) say('every rule was kept');
    return problems.length === 0;
  } finally {
    await service.stop();
  }
}

/** Returns the seconds that it lasted. */
async function putLoadOn(service: RunningServer, minutes: number, record: LoadRecord): Promise<number> {
  const startedAt = performance.now();
  const elapsed = () => (performance.now() - startedAt) / 1000;
  const ending = new AbortController();
  const clients = Promise.all(
    Array.from({ length: CLIENTS }, (_, number) =>
      runClient(service, number, (visit) => record.add(visit), ending.signal),
    ),
  );
  while (elapsed() < minutes * 60) {
    await sleep(Math.min(SAMPLE_MS, minutes * 60_000 - elapsed() * 1000));
    const mib = service.memoryMiB() + service.memoryFilesMiB();
    record.memory.push({ at: elapsed(), mib });
    const { running, waiting } = await inside(service);
    const answers = `${record.count(200)} answers, ${record.count(429)} refused, ${record.count('left')} left`;
    say(
      `${elapsed().toFixed(0).padStart(4)} s  ${answers}; ${running} running, ${waiting} waiting; ` +
        `${(record.tokens / elapsed()).toFixed(0)} tokens/s; ${mib.toFixed(0)} MiB`,
    );
  }
  ending.abort();
  await clients;
  return elapsed();
}

/** Nothing may be left inside, and all sequences must answer at the same time. */
async function lookAfterwards(service: RunningServer): Promise<Aftermath> {
  const until = performance.now() + SETTLE_MS;
  let left = await inside(service);
  while (left.running + left.waiting > 0 && performance.now() < until) {
    await sleep(100);
    left = await inside(service);
  }
  const answers = Array.from({ length: DEFAULT_SEQUENCES }, (_, user) =>
    startChat(service, longAnswer(400, user)),
  );
  await Promise.all(answers.map((answer) => answer.reached(4)));
  const { running } = await inside(service);
  for (const answer of answers) answer.leave();
  await Promise.all(answers.map(({ done }) => done));
  return { ...left, answering: running };
}

async function inside(endpoint: Endpoint): Promise<{ running: number; waiting: number }> {
  const response = await fetch(`http://127.0.0.1:${endpoint.port}/metrics`, { headers: endpoint.headers });
  const text = await response.text();
  const gauge = (name: string) =>
    Number(new RegExp(`^botstack_num_requests_${name}\\{.*\\} (.*)$`, 'm').exec(text)?.[1] ?? NaN);
  return { running: gauge('running'), waiting: gauge('waiting') };
}

let options: LoadOptions | undefined;
try {
  options = parseLoadOptions(process.argv.slice(2));
} catch (error) {
  console.error(`${(error as Error).message}\nTry: npm run load -- --help`);
  process.exit(2);
}
if (options === undefined) {
  say(LOAD_HELP);
} else {
  const folder = mkdtempSync(join(tmpdir(), 'botstack-load-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  // exit() runs the handlers above and in server-process.ts: nothing stays behind.
  process.on('SIGINT', () => process.exit(130));
  process.on('SIGTERM', () => process.exit(143));
  main(options, folder).then(
    (good) => {
      process.exitCode = good ? 0 : 1;
    },
    (error: Error) => {
      console.error(`\nload: ${error.message}`);
      process.exitCode = 1;
    },
  );
}
