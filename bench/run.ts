/** `npm run bench`: our service beside llama-server. What it does and why stands in docs/performance.md. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';

import { buildBotService } from './bot-service.js';
import { compare } from './compare.js';
import { installLlamaServer } from './llama-server.js';
import { MODEL_TITLES, provideModel } from './models.js';
import { HELP, parseOptions, type Options } from './options.js';
import { rowsOf, table } from './report.js';
import { makeFolder, RESULTS } from './workspace.js';

/** What both servers get, and nothing else. */
const SETTINGS = { threads: 2, sequences: 4, contextSize: 4096 };

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(options: Options, folder: string): Promise<void> {
  say('building the runtime');
  const versions = { botstack: await buildBotService(), 'llama-server': await installLlamaServer(say) };
  const result = {
    date: new Date().toISOString(),
    machine: machine(),
    versions,
    settings: SETTINGS,
    ...options,
  };
  say(`machine:       ${result.machine}`);
  for (const [name, version] of Object.entries(versions)) say(`${`${name}:`.padEnd(14)} ${version}`);

  const models = [];
  for (const model of options.models) {
    const modelPath = await provideModel(model, say);
    say(`\n${MODEL_TITLES[model]}`);
    const measurements = await compare({ ...SETTINGS, ...options, modelPath, folder, log: say });
    const rows = rowsOf(model, measurements);
    models.push({ model, rows, measurements });
    say(`\n${MODEL_TITLES[model]}; median (min-max)\n\n${table(rows)}`);
  }
  const file = join(makeFolder(RESULTS), `${result.date.replaceAll(':', '-')}.json`);
  writeFileSync(file, `${JSON.stringify({ ...result, models }, null, 2)}\n`);
  say(`\nwritten to ${file}`);
}

/** In general words: enough to judge the figures by. */
function machine(): string {
  const model = cpus()[0]?.model ?? 'unknown processor';
  const flags = readFileSync('/proc/cpuinfo', 'utf8').match(/^flags\s*:(.*)$/m)?.[1] ?? '';
  const vectors = ['amx_tile', 'avx512f', 'avx2'].find((flag) => flags.includes(flag)) ?? 'no AVX2';
  return `${cpus().length} cores, ${model}, ${vectors}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
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
