import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { freePort } from '../support/free-port';
import { type FoundProcess, killAllOf, processesOf } from '../support/processes-of-folder';
import { REPOSITORY, testModel } from '../support/test-model';
import { temporaryFolder } from '../support/temporary-folder';
import { writeTinyModel } from '../support/tiny-models';

jest.setTimeout(180_000);

/** The real command, the real model, and every way to end it. Linux: processes are looked up in /proc. */
const onLinux = process.platform === 'linux' ? describe : describe.skip;

onLinux('npm run up', () => {
  const runs: Run[] = [];
  // Before the folder's own: who is not killed first writes into what is being removed.
  afterEach(() => Promise.all(runs.splice(0).map((run) => run.killAll())));
  const folder = temporaryFolder();
  /** Loaded in half of the time, where it matters only that a model is. */
  const tiny = join(mkdtempSync(join(tmpdir(), 'up-')), 'tiny.gguf');
  beforeAll(() => writeTinyModel(tiny, 'phi3'));
  afterAll(() => rmSync(dirname(tiny), { recursive: true }));
  const withTiny = async () => ['--port', String(await freePort()), '--model', tiny];

  const up = async (
    args: readonly string[] = [],
    command: readonly string[] = [process.execPath, 'scripts/up.mjs'],
  ) => {
    const run = new Run(folder(), [...command, ...args]);
    runs.push(run);
    return run;
  };

  it('prints an endpoint and a curl line that works when pasted; Ctrl-C drains and leaves nothing', async () => {
    const port = await freePort();
    const run = await up(['--port', String(port), '--model', testModel().path]);
    await run.prints('Ctrl-C stops it.');
    expect(run.output).toContain(`http://127.0.0.1:${port}/v1`);
    // Before the rest, which is to be copied.
    expect(run.output).toMatch(
      / {2}security {2}access policy \w+ \(the default\) is in force: no limits .*, no word rules\n\n\S+ is ready/,
    );
    const headers = { Authorization: 'Bearer wrong' };
    expect((await fetch(`http://127.0.0.1:${port}/v1/models`, { headers })).status).toBe(401);
    await run.prints('401 error=invalid_api_key');
    expect(run.output).toMatch(/ {2}security {2}req=.* address=127\.0\.0\.1 GET \/v1\/models 401/);

    const curl = /^curl .*$/m.exec(run.output)?.[0] ?? '';
    const answer = JSON.parse(
      execFileSync('bash', ['-c', `${curl} -sS --max-time 60`], { encoding: 'utf8' }),
    ) as {
      choices: { message: { content: string } }[];
    };
    expect(answer.choices[0]?.message.content.length).toBeGreaterThan(10);

    // An answer that runs when Ctrl-C comes is finished first.
    const running = streamed(curl);
    await running.firstByte;
    run.processes(); // remembered, to look for what is left of them
    process.kill(-run.pid, 'SIGINT');
    expect(await running.whole).toContain('data: [DONE]');
    expect(await run.exit).toBe(0);
    run.expectNothingLeft();
  });

  it('runs twice at once: the consoles do not get into each other’s way', async () => {
    const both = await Promise.all([withTiny(), withTiny()].map(async (args) => up(await args)));
    await Promise.all(both.map((run) => run.prints('Ctrl-C stops it.')));
    const consoles = both.map((run) => /Console +(http:\S+)/.exec(run.output)?.[1] ?? '');
    expect(new Set(consoles).size).toBe(2);
    for (const url of consoles) expect((await fetch(url)).status).toBe(200);
    for (const run of both) process.kill(run.pid, 'SIGTERM');
    expect(await Promise.all(both.map((run) => run.exit))).toEqual([0, 0]);
    for (const run of both) run.expectNothingLeft();
  });

  it('keeps the key out of arguments and files', async () => {
    const run = await up(['--port', String(await freePort())]);
    await run.prints('Ctrl-C stops it.');
    const service = run.processes().find(({ command }) => command.includes(' serve '));
    const key =
      /GENERATED_KEY=([0-9a-f]{64})/.exec(readFileSync(`/proc/${service?.pid}/environ`, 'utf8'))?.[1] ?? '';
    expect(key).toHaveLength(64);
    expect(run.processes().some(({ command }) => command.includes(key))).toBe(false);
    expect(run.output).not.toContain(key);
    for (const file of run.files()) expect(readFileSync(file, 'utf8')).not.toContain(key);
    process.kill(run.pid, 'SIGTERM');
    expect(await run.exit).toBe(0);
    run.expectNothingLeft();
  });

  it.each(['the command', 'npm'])('leaves nothing after a kill -9 of %s', async (victim) => {
    const run = await up(await withTiny(), victim === 'npm' ? ['npm', 'run', 'up', '--'] : undefined);
    await run.prints('Ctrl-C stops it.');
    expect(run.processes().length).toBeGreaterThanOrEqual(3);
    process.kill(run.pid, 'SIGKILL');
    await run.becomesEmpty();
    run.expectNothingLeft();
  });

  it('says why when the service dies', async () => {
    const run = await up(await withTiny());
    await run.prints('Ctrl-C stops it.');
    const service = run.processes().find(({ command }) => command.includes(' serve '));
    process.kill(service!.pid, 'SIGKILL');
    expect(await run.exit).toBe(1);
    expect(run.output).toContain('the service ended by itself');
    expect(run.output).toMatch(/Its last lines:\n {2}\[/);
    await run.becomesEmpty();
    run.expectNothingLeft();
  });

  it('names the holder of a port that is taken, before anything is fetched', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const { port } = holder.address() as AddressInfo;
    const run = await up(['--port', String(port), '--model', 'https://192.0.2.1/never-asked.gguf']);
    expect(await run.exit).toBe(1);
    expect(run.output).toMatch(`port ${port} is in use by`);
    holder.close();
  });

  it('refuses a file that is no model, and a model that cannot be loaded, with the reason', async () => {
    const text = join(folder(), 'notes.gguf');
    writeFileSync(text, 'not a model at all, but long enough to look at');
    const refused = await up(['--port', String(await freePort()), '--model', text]);
    expect(await refused.exit).toBe(1);
    expect(refused.output).toContain('is not a GGUF model');

    const hollow = join(folder(), 'hollow.gguf');
    writeFileSync(hollow, readFileSync(testModel().path).subarray(0, 3_000_000));
    const failed = await up(['--port', String(await freePort()), '--model', hollow]);
    expect(await failed.exit).toBeGreaterThan(0);
    expect(failed.output).toContain('the service ended by itself');
    expect(failed.output).toContain('hollow.gguf');
    failed.expectNothingLeft();
  });

  it.each([
    [['--port', '0'], 'a whole number from 1 to 65535'],
    [['--port', 'http'], 'a whole number from 1 to 65535'],
    [['--model', 'ftp://x/y.gguf'], 'the scheme ftp: is not known'],
    [['--prot', '1'], "unknown option '--prot'"],
  ])('refuses %p as a usage error', async (args, message) => {
    const run = await up(args);
    expect(await run.exit).toBe(2);
    expect(run.output).toContain(message);
  });
});

/** One run of the command in a process group and a temporary folder of its own. */
class Run {
  readonly pid: number;
  readonly exit: Promise<number | null>;
  output = '';
  readonly #temporary: string;
  readonly #child: ChildProcess;

  constructor(folder: string, [file = '', ...args]: readonly string[]) {
    this.#temporary = join(folder, `run-${Math.random().toString(36).slice(2)}`);
    mkdirSync(this.#temporary);
    const outer = Object.entries(process.env).filter(([name]) => !name.startsWith('npm_'));
    const env = { ...Object.fromEntries(outer), TMPDIR: this.#temporary, XDG_RUNTIME_DIR: this.#temporary };
    this.#child = spawn(file, args, {
      cwd: REPOSITORY,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.pid = this.#child.pid ?? 0;
    this.#child.stdout?.on('data', (chunk) => (this.output += String(chunk)));
    this.#child.stderr?.on('data', (chunk) => (this.output += String(chunk)));
    this.exit = new Promise((resolve) => this.#child.once('exit', resolve));
  }

  async prints(text: string): Promise<void> {
    let ended = false;
    void this.exit.then(() => (ended = true));
    const deadline = Date.now() + 120_000;
    while (!this.output.includes(text)) {
      if (ended || Date.now() > deadline) throw new Error(`did not print ${text}:\n${this.output}`);
      await sleep(50);
    }
  }

  /** Every process that inherited this run's temporary folder. */
  processes(): FoundProcess[] {
    return processesOf(this.#temporary);
  }

  files(): string[] {
    return readdirSync(this.#temporary, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  }

  async becomesEmpty(): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (this.processes().length > 0 && Date.now() < deadline) await sleep(100);
  }

  expectNothingLeft(): void {
    expect(this.processes()).toEqual([]);
    const left = readdirSync(this.#temporary).filter((name) => name.startsWith('botstack'));
    expect(left).toEqual([]);
  }

  killAll(): Promise<void> {
    return killAllOf(this.#temporary);
  }
}

/** The printed curl line, asked to stream a longer answer. */
function streamed(curl: string): { firstByte: Promise<void>; whole: Promise<string> } {
  const line = curl.replace('"max_tokens":200', '"max_tokens":60,"stream":true');
  const child = spawn('bash', ['-c', `exec ${line} -sSN --max-time 100`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  const firstByte = new Promise<void>((resolve) => child.stdout.once('data', () => resolve()));
  child.stdout.on('data', (chunk) => (text += String(chunk)));
  return { firstByte, whole: new Promise((resolve) => child.once('close', () => resolve(text))) };
}
