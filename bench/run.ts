/** `npm run bench`: our service beside llama-server. What it does and why stands in docs/performance.md. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { DEFAULT_CONTEXT_SIZE, DEFAULT_SEQUENCES } from '../runtime/src/engine/options.js';
import { buildBotService } from './bot-service.js';
import { compare } from './compare.js';
import { installLlamaServer } from './llama-server.js';
import { describeMachine } from './machine.js';
import { MODEL_TITLES, provideModel } from './models.js';
import { HELP, parseOptions, type Options } from './options.js';
import { measureOwn } from './own-scenarios.js';
import { ownTable, rowsOf, table } from './report.js';
import { SCENARIOS } from './scenarios.js';
import { makeFolder, RESULTS } from './workspace.js';

/** What is set, and nothing else. The sequences are our service's; llama-server has its slots by an option. */
const SETTINGS = { threads: 2, sequences: DEFAULT_SEQUENCES, contextSize: DEFAULT_CONTEXT_SIZE };

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(options: Options, folder: string): Promise<void> {
  say('building the runtime');
  const isCompared = SCENARIOS.some(({ name }) => options.scenarios.includes(name));
  const versions: Record<string, string> = { botstack: await buildBotService() };
  if (isCompared) versions['llama-server'] = await installLlamaServer(say);
  const result = {
    date: new Date().toISOString(),
    machine: describeMachine(),
    versions,
    settings: SETTINGS,
    ...options,
  };
  const about = [
    `machine: ${result.machine}`,
    ...Object.entries(versions).map((entry) => entry.join(': ')),
    `at once: botstack ${SETTINGS.sequences}, its default${isCompared ? `, llama-server ${options.slots}` : ''}`,
  ];
  for (const line of about) say(line);

  const models = [];
  const tables: string[] = [];
  let shown = 0;
  for (const model of options.models) {
    const modelPath = await provideModel(model, say);
    say(`\n${MODEL_TITLES[model]}`);
    const measurements = isCompared
      ? await compare({ ...SETTINGS, ...options, modelPath, folder, log: say })
      : {};
    const rows = rowsOf(model, measurements);
    const own = await measureOwn({ ...SETTINGS, modelPath, folder }, options.scenarios, say);
    models.push({ model, rows, own, measurements });
    const title = MODEL_TITLES[model];
    if (isCompared) tables.push(`${title}; ${options.rounds} rounds, median (min-max):\n\n${table(rows)}\n`);
    if (own.length > 0) tables.push(`${title}; botstack alone:\n\n${ownTable(own)}\n`);
    say(`\n${tables.slice(shown).join('\n')}`);
    shown = tables.length;
  }
  const file = join(makeFolder(RESULTS), result.date.replaceAll(':', '-'));
  writeFileSync(`${file}.json`, `${JSON.stringify({ ...result, models }, null, 2)}\n`);
  // What docs/performance.md takes over.
  writeFileSync(`${file}.md`, [`${result.date.slice(0, 10)}; ${about.join('; ')}.\n`, ...tables].join('\n'));
  say(`written to ${file}.json and .md`);
}

let options: Options | undefined;
try {
  options = parseOptions(process.argv.slice(2));
} catch (error) {
  console.error(`${(error as Error).message}\nTry: npm run bench -- --help`);
  process.exit(2);
}
if (options === undefined) {
  say(HELP);
} else {
  const folder = mkdtempSync(join(tmpdir(), 'botstack-bench-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  // exit() runs the handlers above and in server-process.ts: nothing stays behind.
  process.on('SIGINT', () => process.exit(130));
  process.on('SIGTERM', () => process.exit(143));
  process.on('SIGHUP', () => process.exit(129));
  main(options, folder).catch((error: Error) => {
    console.error(`\nbench: ${error.message}`);
    process.exitCode = 1;
  });
}
