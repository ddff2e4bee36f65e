/** What has to be there before synth: the runtime's bundle, the model, and what the model needs of a machine. */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { z } from 'zod';

import { buildBundle } from '../scripts/bundle';
import { findInstanceType } from './catalogue';
import type { LocalFile } from './constructs/artifacts';
import { ProblemsError } from './problems';
import type { ResolvedProps } from './props';
import { foreseeSequences, type ModelFacts, problemsOfFit } from './sizing';
import { ROOT } from './version';

export interface Prepared {
  readonly bundle: LocalFile;
  readonly model: LocalFile;
}

type Say = (line: string) => void;

const BOT = join(ROOT, 'runtime', 'dist', 'cli', 'bot.js');

const pulledSchema = z.object({ path: z.string(), sha256: z.string(), sizeBytes: z.number() });
const inspectedSchema = z.object({ totalBytes: z.number(), trainContextSize: z.number().optional() });

/**
 * Takes seconds when everything is in its cache, and a minute or two the first time.
 *
 * @throws ProblemsError with the last words of the step that failed, or with why the model does not suit the machine.
 */
export async function prepareArtifacts(props: ResolvedProps, say: Say): Promise<Prepared> {
  await timed('runtime', say, () => node([join(ROOT, 'scripts', 'setup.mjs'), '--for', 'deploy'], say));
  const model = await timed('model', say, async () =>
    pulledSchema.parse(JSON.parse(await node([BOT, 'model', 'pull', props.model, '--json'], say, 'model: '))),
  );
  // Before the bundle, which takes longer than anything else here.
  const { note, problems } = checkFit(props, model);
  if (problems.length > 0) throw new ProblemsError(problems);
  const bundle = await timed('bundle', say, () => buildFor(props, say));
  say(`  model   ${describe(model)}`);
  say(`  bundle  ${describe(bundle)}`);
  if (note !== undefined) say(note);
  return { bundle, model };
}

async function buildFor(props: ResolvedProps, say: Say): Promise<LocalFile> {
  const architecture = findInstanceType(props.instanceType)?.architecture ?? 'x64';
  try {
    return await buildBundle({ platform: `linux-${architecture}`, log: (line) => say(`  ${line}`) });
  } catch (error) {
    throw new ProblemsError([
      `the bundle could not be built: ${error instanceof Error ? error.message : String(error)}`,
    ]);
  }
}

function checkFit(
  { instanceType, contextSize, sequences: given, diskGiB }: ResolvedProps,
  model: LocalFile,
): { readonly note?: string; readonly problems: readonly string[] } {
  const instance = findInstanceType(instanceType);
  if (instance === undefined) {
    throw new Error(`instanceType ${instanceType} is not in the catalogue: resolveProps checks that`);
  }
  const inspect = (context: number, sequences: number) => inspectModel(model.path, context, sequences);
  const { sequences, facts, note } = foreseeSequences(instance, given, (count) =>
    inspect(contextSize, count),
  );
  const problems = problemsOfFit({
    instance,
    contextSize,
    sequences,
    diskGiB,
    modelFileBytes: model.sizeBytes,
    facts,
    inspect,
  });
  return { note, problems };
}

function inspectModel(path: string, contextSize: number, sequences: number): ModelFacts {
  const size = ['--context', String(contextSize), '--sequences', String(sequences)];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [BOT, 'model', 'inspect', path, '--json', ...size],
    {
      encoding: 'utf8',
    },
  );
  if (status !== 0) {
    throw new ProblemsError([`model cannot be used: ${lastWords(stderr)}`]);
  }
  return inspectedSchema.parse(JSON.parse(stdout));
}

/** Runs a program of this repository; what it says on standard error is progress, what it prints is its result. `prop` begins a refusal. */
async function node(args: readonly string[], say: Say, prop = ''): Promise<string> {
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  const errors: string[] = [];
  createInterface(child.stderr).on('line', (line) => {
    errors.push(line);
    say(`  ${line}`);
  });
  let result = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (result += text));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (status !== 0) {
    throw new ProblemsError([`${prop}${lastWords(errors.join('\n')).replace(/^error: /, '')}`]);
  }
  return result;
}

/** The end of a failed program's message, without what it printed as progress. */
function lastWords(text: string): string {
  return text.trim().split('\n').slice(-6).join('\n    ') || 'it ended without a message';
}

async function timed<T>(step: string, say: Say, work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  say(`${step} …`);
  const result = await work();
  say(`${step} ready after ${((performance.now() - start) / 1000).toFixed(1)} s`);
  return result;
}

function describe({ path, sha256, sizeBytes }: LocalFile): string {
  return `${(sizeBytes / 1e6).toFixed(1)} MB, SHA-256 ${sha256.slice(0, 12)}…  ${path}`;
}
