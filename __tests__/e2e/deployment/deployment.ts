/** The real cdktf, Terraform and AWS provider, run the way a person runs them, in a folder of their own. */
import { appendFileSync, existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { spawn } from 'node:child_process';
import type { BotProps } from '../../../stacks/props';
import { STACK_ID } from '../../../stacks/app';
import type { Box } from '../box/box';
import { type CommandResult, run } from '../box/commands';
import { identify } from '../box/process-identity';
import { terraformEnvironment } from '../box/terraform-configuration';
import { switchesToEnvironment } from './switches';

const ROOT = resolve(__dirname, '..', '..', '..');
const DEPLOY_TIMEOUT_MS = 600_000;

/** What `cdktf deploy` printed, line by line, with the moment each line came. */
export interface Transcript {
  status: number;
  /** Milliseconds since the epoch. */
  endedAt: number;
  lines: { atMs: number; text: string }[];
}

export class Deployment {
  readonly folder: string;
  readonly #environment: NodeJS.ProcessEnv;

  /** @param endpointAddress where the readiness gate finds the guest: the emulator's Elastic IP is made up */
  constructor(
    readonly box: Box,
    readonly name: string,
    readonly switches: BotProps,
    endpointAddress: string,
  ) {
    this.folder = box.folder.folder('deployments', name);
    // The project's own cdktf.json, but for paths: they point into the checkout, and what cdktf writes stays here.
    const configuration = JSON.parse(readFileSync(join(ROOT, 'cdktf.json'), 'utf8')) as object;
    const app = `${join(ROOT, 'node_modules/.bin/tsx')} ${join(ROOT, '__tests__/e2e/app.ts')}`;
    writeFileSync(join(this.folder, 'cdktf.json'), JSON.stringify({ ...configuration, app }));
    box.folder.undo.add({ kind: 'remove', path: this.certificateFile });
    this.#environment = {
      ...box.account.environment,
      ...terraformEnvironment(join(this.folder, 'terraform.rc')),
      ...switchesToEnvironment(switches),
      CDKTF_HOME: join(this.folder, 'cdktf-home'),
      BOTSTACK_ENDPOINT_ADDRESS: endpointAddress,
      // What the emulator cannot do is said at once, not after 25 attempts.
      AWS_MAX_ATTEMPTS: '5',
    };
  }

  /** Where the gate leaves the endpoint's certificate. */
  get certificateFile(): string {
    return join(ROOT, '.artifacts', `${this.switches.name}-certificate.pem`);
  }

  get logFile(): string {
    return join(this.box.folder.logs, `${this.name}-cdktf.log`);
  }

  /** @param wrapper a program, with its arguments, that runs cdktf */
  async deploy(environment: NodeJS.ProcessEnv = {}, wrapper: string[] = []): Promise<Transcript> {
    // prettier-ignore
    return this.#cdktf(['deploy', '--auto-approve', '--skip-provider-lock', '--no-color', '--outputs-file', join(this.folder, 'outputs.json')], environment, wrapper);
  }

  async destroy(): Promise<Transcript> {
    return this.#cdktf(['destroy', '--auto-approve', '--skip-provider-lock', '--no-color'], {}, []);
  }

  /** `terraform plan -detailed-exitcode`: status 0 when there is nothing to do, 2 when there is. */
  async plan(): Promise<CommandResult> {
    // prettier-ignore
    return run(['terraform', 'plan', '-input=false', '-no-color', '-detailed-exitcode'],
      { cwd: join(this.folder, 'cdktf.out', 'stacks', STACK_ID), env: this.#environment, allowFailure: true, timeoutMs: 300_000 });
  }

  /** The outputs that `cdktf deploy` wrote. */
  outputs(): Record<string, string> {
    const file = JSON.parse(readFileSync(join(this.folder, 'outputs.json'), 'utf8')) as Record<
      string,
      Record<string, string>
    >;
    return file[STACK_ID] ?? {};
  }

  /** Everything that the deployment wrote on the deploying machine, but for Terraform's own programs. */
  files(): string[] {
    return filesBelow(this.folder).filter((file) => !file.includes('/.terraform/providers/'));
  }

  stateFile(): string {
    const file = this.files().find((path) => path.endsWith('.tfstate'));
    if (!file || !existsSync(file)) throw new Error(`no Terraform state in ${this.folder}`);
    return file;
  }

  #cdktf(
    args: readonly string[],
    environment: NodeJS.ProcessEnv,
    wrapper: readonly string[],
  ): Promise<Transcript> {
    const { undo } = this.box.folder;
    appendFileSync(this.logFile, `$ cdktf ${args.join(' ')}\n`);
    const [program = '', ...rest] = [...wrapper, join(ROOT, 'node_modules/.bin/cdktf'), ...args];
    const child = spawn(program, rest, {
      cwd: this.folder,
      env: { ...this.#environment, ...environment },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const identity = child.pid === undefined ? undefined : identify(child.pid);
    if (identity) undo.add({ kind: 'process', process: identity, name: `cdktf ${args[0]}`, graceMs: 1_000 });
    const timer = setTimeout(() => child.pid && process.kill(-child.pid, 'SIGKILL'), DEPLOY_TIMEOUT_MS);
    const lines: Transcript['lines'] = [];
    for (const stream of [child.stdout, child.stderr]) {
      let rest = '';
      stream.setEncoding('utf8').on('data', (text: string) => {
        appendFileSync(this.logFile, text);
        const parts = (rest + text).split('\n');
        rest = parts.pop() ?? '';
        for (const part of parts) lines.push({ atMs: Date.now(), text: part });
      });
    }
    return new Promise((resolvePromise, reject) => {
      child.once('error', reject);
      child.once('close', (code) => {
        clearTimeout(timer);
        resolvePromise({ status: code ?? 1, endedAt: Date.now(), lines });
      });
    });
  }
}

/** The text of a transcript, without cdktf's indent and stack name in front of each line. */
export function textOf(transcript: Transcript): string {
  return transcript.lines.map(({ text }) => text.replace(/^(bot)?\s+/, '')).join('\n');
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    const entry = statSync(path, { throwIfNoEntry: false });
    return entry?.isDirectory() ? filesBelow(path) : entry?.isFile() ? [path] : [];
  });
}
