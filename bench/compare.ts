import { setTimeout as sleep } from 'node:timers/promises';

import { startBotService } from './bot-service.js';
import { startChat } from './chat-client.js';
import type { FigureName } from './figures.js';
import { startLlamaServer, type Settings } from './llama-server.js';
import { BUSY, busyShare } from './machine.js';
import { longAnswer } from './prompts.js';
import type { Measurements, Pairs } from './report.js';
import { SCENARIOS } from './scenarios.js';
import type { RunningServer } from './server-process.js';

export interface Comparison extends Settings {
  readonly scenarios: readonly string[];
  readonly rounds: number;
  /** Requests that llama-server evaluates at once. */
  readonly slots: number;
  readonly log: (line: string) => void;
}

const SERVERS = [
  { side: 'ours', start: (comparison: Comparison) => startBotService(comparison) },
  { side: 'theirs', start: startLlamaServer },
] as const;

type Side = (typeof SERVERS)[number]['side'];

/** Each server is started this often; the last one stays. */
const STARTS = 3;

/** After a client that left: time for the server to notice, and to end its work. */
const SETTLE_MS = 500;

/**
 * Takes every figure on both servers, in turn. Both are resident and only one works at a time: an idle server costs
 * nothing, and what else happens on the machine falls on both alike. Who goes first changes with the round.
 */
export async function compare(comparison: Comparison): Promise<Measurements> {
  const measurements: Measurements = {};
  const servers: Partial<Record<Side, RunningServer>> = {};
  const note = (figure: FigureName, side: Side, value: number): void => {
    const pairs: Pairs = (measurements[figure] ??= { ours: [], theirs: [] });
    pairs[side].push(value);
  };
  try {
    for (let start = 1; start <= STARTS; start++) {
      for (const { side, start: startServer } of SERVERS) {
        await servers[side]?.stop();
        const server = await startServer(comparison);
        servers[side] = server;
        note('start-up', side, server.startSeconds);
        note('memory-start', side, server.memoryMiB() + server.memoryFilesMiB());
      }
    }
    const sides = Object.entries(servers) as [Side, RunningServer][];
    for (const [, server] of sides) await startChat(server, longAnswer(32, 0)).done;

    // Both servers are idle now, so this is everything else. It also shows a server that spins while it waits.
    const busy = await busyShare();
    if (busy > BUSY) {
      comparison.log(
        `  warning: the processors are ${Math.round(busy * 100)} % busy with something else; the figures will mislead`,
      );
    }

    const scenarios = SCENARIOS.filter((scenario) => comparison.scenarios.includes(scenario.name));
    for (let round = 1; round <= comparison.rounds; round++) {
      for (const [index, scenario] of scenarios.entries()) {
        for (const [side, server] of (round + index) % 2 === 0 ? sides : sides.toReversed()) {
          const figures = await scenario.measure(server, round * 1000 + index * 10);
          for (const [figure, value] of Object.entries(figures)) {
            note(figure as FigureName, side, value);
            comparison.log(
              `  round ${round}/${comparison.rounds}  ${figure.padEnd(19)}  ${server.name.padEnd(12)}  ${value.toPrecision(4)}`,
            );
          }
          await sleep(SETTLE_MS);
        }
      }
    }
    for (const [side, server] of sides)
      note('memory-end', side, server.memoryMiB() + server.memoryFilesMiB());
    return measurements;
  } finally {
    await Promise.all(Object.values(servers).map((server) => server.stop()));
  }
}
