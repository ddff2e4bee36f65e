/** What only our service has, so that no ratio but a limit says whether it is fast enough. */
import { BareConnection, post, type BareAnswer } from './bare-connection.js';
import { startBotService } from './bot-service.js';
import { CHAT_PATH, chatBody, type ChatRequest, type Endpoint } from './chat-request.js';
import type { Settings } from './llama-server.js';
import { words } from './prompts.js';
import { percentile } from './statistics.js';

export interface OwnScenario {
  readonly name: string;
  readonly title: string;
  /** The share of all requests, as a percentile, that has to keep to so many milliseconds. */
  readonly target: { readonly share: 0.5 | 0.99; readonly ms: number };
  /** Milliseconds of each request. */
  measure(endpoint: Endpoint): Promise<number[]>;
}

export interface OwnRow {
  readonly name: string;
  readonly title: string;
  readonly requests: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly target: OwnScenario['target'];
  readonly reached: boolean;
}

const TIMEOUT_MS = 60_000;
/** V8 has compiled what is hot by then, in both processes. */
const WARM_UP = 1000;
const HITS = 1000;
const OVERHEADS = 300;

/** Some 130 tokens: a system prompt and a question. */
const conversation = (seed: number) =>
  [
    { role: 'system', content: 'You are a helpful assistant and answer in few words.' },
    { role: 'user', content: words(100, seed) },
  ] as const;

export const OWN_SCENARIOS: readonly OwnScenario[] = [
  {
    name: 'cache-hit',
    title: 'answer of 64 tokens from the response cache',
    target: { share: 0.99, ms: 5 },
    measure: async (endpoint) => {
      const chat: ChatRequest = { messages: conversation(1), maxTokens: 64, temperature: 0 };
      const whole = requestOf(endpoint, chat, false);
      const streamed = requestOf(endpoint, chat, true);
      // Streamed or not, it is kept once. The first two compute what all others find.
      const all = await oneAfterAnother(endpoint, 2 + WARM_UP + HITS, (number) =>
        number % 2 === 1 ? streamed : whole,
      );
      return all.slice(2 + WARM_UP).map(({ headers, ms }) => {
        if (headers['x-cache'] !== 'hit') throw new Error('the cache did not have the answer');
        return ms;
      });
    },
  },
  {
    name: 'http-overhead',
    title: 'whole answer of one token, less the time that the engine had it',
    target: { share: 0.5, ms: 2 },
    measure: async (endpoint) => {
      // The prompt is read once: what the engine takes for it is not asked for here.
      const chat: ChatRequest = { messages: conversation(1), maxTokens: 1 };
      const all = await oneAfterAnother(endpoint, WARM_UP + OVERHEADS, (seed) =>
        requestOf(endpoint, { ...chat, seed }, false),
      );
      return all.slice(WARM_UP).map(({ headers, ms }) => {
        const engine = /\bengine;dur=([\d.]+)/.exec(headers['server-timing'] ?? '')?.[1];
        if (engine === undefined) throw new Error('the answer does not tell the engine’s time');
        return ms - Number(engine);
      });
    },
  },
];

/** Starts our service with the response cache on, and takes all figures of these names. */
export async function measureOwn(
  settings: Settings,
  names: readonly string[],
  log: (line: string) => void,
): Promise<OwnRow[]> {
  const wanted = OWN_SCENARIOS.filter(({ name }) => names.includes(name));
  if (wanted.length === 0) return [];
  const service = await startBotService(settings, { cache: { store: 'memory' } });
  try {
    const rows: OwnRow[] = [];
    for (const scenario of wanted) {
      const row = rowOf(scenario, await scenario.measure(service));
      log(`  ${row.name.padEnd(19)}  p50 ${row.p50.toFixed(2)} ms, p99 ${row.p99.toFixed(2)} ms`);
      rows.push(row);
    }
    return rows;
  } finally {
    await service.stop();
  }
}

export function rowOf({ name, title, target }: OwnScenario, values: readonly number[]): OwnRow {
  const at = (share: number) => percentile(values, share) ?? NaN;
  const [p50, p90, p99] = [at(0.5), at(0.9), at(0.99)];
  const reached = Number(at(target.share).toFixed(2)) <= target.ms;
  return { name, title, requests: values.length, p50, p90, p99, target, reached };
}

function requestOf({ port, headers }: Endpoint, chat: ChatRequest, isStreamed: boolean): Buffer {
  return post(CHAT_PATH, port, headers, chatBody(chat, isStreamed));
}

/** One client that waits for each answer, on one connection. */
async function oneAfterAnother(
  endpoint: Endpoint,
  count: number,
  request: (number: number) => Buffer,
): Promise<BareAnswer[]> {
  const connection = await BareConnection.open(endpoint.port, TIMEOUT_MS);
  try {
    const answers: BareAnswer[] = [];
    for (let number = 0; number < count; number++) {
      const answer = await connection.ask(request(number));
      if (answer.status !== 200) throw new Error(`status ${answer.status}: ${answer.body.slice(0, 300)}`);
      answers.push(answer);
    }
    return answers;
  } finally {
    connection.close();
  }
}
