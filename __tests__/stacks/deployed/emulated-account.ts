/** An AWS account emulated on loopback, and the real Terraform to deploy into it. No machine boots here: that is e2e's. */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { freePort } from '../../support/free-port';
import { buildApp } from '../../../stacks/app';
import type { BotProps } from '../../../stacks/props';
import { ROOT } from '../../../stacks/version';
import { Account } from '../../e2e/box/account';
import { findProviderMirror, terraformEnvironment } from '../../e2e/box/terraform-configuration';

const REGION = 'us-east-1';
const START_PATIENCE_MS = 60_000;

/**
 * Nobody else works in the account, so the state is right: what AWS has is read once, by `plan`, and not before each
 * change. Forty resources make forty questions.
 */
const WITHOUT_ASKING = ['-auto-approve', '-refresh=false', '-input=false', '-no-color'];

export interface Outcome {
  readonly status: number;
  /** Standard output and standard error. */
  readonly output: string;
}

/** What is not here of what this needs; empty when all is. */
export function lacking(): string {
  const runs = (program: string, ...args: string[]) => spawnSync(program, args).status === 0;
  if (!runs('terraform', 'version')) return 'no terraform';
  if (findProviderMirror() === undefined) return 'no mirror of the AWS provider';
  return runs('python3', '-c', 'import moto.server, boto3')
    ? ''
    : "no moto: pip install 'moto[server]==5.2.1'";
}

export class EmulatedAccount {
  readonly #account: Account;

  private constructor(
    readonly url: string,
    readonly folder: string,
    readonly process: ChildProcess,
  ) {
    this.#account = new Account(url, REGION);
  }

  static async start(): Promise<EmulatedAccount> {
    const folder = mkdtempSync(join(tmpdir(), 'botstack-deployed-'));
    const port = await freePort();
    const emulator = join(ROOT, '__tests__', 'e2e', 'box', 'emulator.py');
    const child = spawn('python3', [emulator, '127.0.0.1', String(port), REGION], {
      env: {
        ...process.env,
        MOTO_IAM_LOAD_MANAGED_POLICIES: 'true',
        MOTO_EC2_LOAD_DEFAULT_AMIS: 'false',
      },
      stdio: 'ignore',
    });
    const account = new EmulatedAccount(`http://127.0.0.1:${port}`, folder, child);
    await account.#answers();
    return account;
  }

  /** Variables of whoever works in the account: SDKs, Terraform. */
  get environment(): NodeJS.ProcessEnv {
    return {
      ...this.#account.environment,
      ...terraformEnvironment(join(this.folder, 'terraform.rc')),
      AWS_MAX_ATTEMPTS: '3',
    };
  }

  /** Everything that exists, one line each. */
  inventory(): Promise<string[]> {
    return this.#account.inventory();
  }

  deployment(name: string): Deployment {
    const folder = join(this.folder, name);
    mkdirSync(folder);
    return new Deployment(folder, this.environment);
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    if (this.process.kill('SIGKILL')) await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #answers(): Promise<void> {
    const deadline = Date.now() + START_PATIENCE_MS;
    while (Date.now() < deadline && this.process.exitCode === null) {
      try {
        if ((await fetch(`${this.url}/moto-api/`)).ok) return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    await this.stop();
    throw new Error('the AWS emulator did not start');
  }
}

/** One app, synthesised and applied, with its state beside it. */
export class Deployment {
  constructor(
    readonly folder: string,
    readonly environment: NodeJS.ProcessEnv,
  ) {}

  /** @returns where the synthesised files lie */
  async synth(props: BotProps): Promise<string> {
    const artifact = (name: string, digit: string) => {
      const path = join(this.folder, name);
      writeFileSync(path, name);
      return { path, sha256: digit.repeat(64), sizeBytes: name.length };
    };
    const app = await buildApp(
      { allowedCidrs: ['203.0.113.0/24'], ...props },
      {
        artifacts: { bundle: artifact('bundle.tar.gz', 'b'), model: artifact('model.gguf', 'd') },
        statePath: join(this.folder, 'terraform.tfstate'),
        outdir: join(this.folder, 'cdktf.out'),
        say: () => undefined,
      },
    );
    app.synth();
    const stack = join(this.folder, 'cdktf.out', 'stacks', 'bot');
    withoutWaits(join(stack, 'cdk.tf.json'));
    return stack;
  }

  async apply(props: BotProps): Promise<Outcome> {
    return this.#initialised(await this.synth(props), ['apply', ...WITHOUT_ASKING]);
  }

  /** Asks AWS what is there. Status 0 when there is nothing to do, 2 when there is. */
  async plan(props: BotProps): Promise<Outcome> {
    const args = ['plan', '-detailed-exitcode', '-input=false', '-no-color'];
    return this.#initialised(await this.synth(props), args);
  }

  async destroy(props: BotProps): Promise<Outcome> {
    return this.#initialised(await this.synth(props), ['destroy', ...WITHOUT_ASKING]);
  }

  async outputs(): Promise<Record<string, string>> {
    const { output } = await this.#terraform(join(this.folder, 'cdktf.out', 'stacks', 'bot'), [
      'output',
      '-json',
    ]);
    const values = JSON.parse(output) as Record<string, { value: string }>;
    return Object.fromEntries(Object.entries(values).map(([name, { value }]) => [name, value]));
  }

  async #initialised(stack: string, args: readonly string[]): Promise<Outcome> {
    if (!existsSync(join(stack, '.terraform'))) {
      const initialised = await this.#terraform(stack, ['init', '-input=false', '-no-color']);
      if (initialised.status !== 0) return initialised;
    }
    return this.#terraform(stack, args);
  }

  #terraform(cwd: string, args: readonly string[]): Promise<Outcome> {
    const options = { cwd, env: this.environment, timeout: 300_000, maxBuffer: 64 * 1024 * 1024 };
    return new Promise((resolve) => {
      execFile('terraform', args, options, (error, stdout, stderr) => {
        resolve({ status: error === null ? 0 : Number(error.code ?? 1), output: stdout + stderr });
      });
    });
  }
}

/** Takes out what can only be waited for here; `npm run e2e` deploys it as it is. */
function withoutWaits(file: string): void {
  const document = JSON.parse(readFileSync(file, 'utf8')) as {
    resource: {
      terraform_data: Record<
        string,
        { provisioner?: { 'local-exec': { environment: Record<string, string> } }[] }
      >;
      aws_s3_bucket_lifecycle_configuration?: object;
    };
  };
  // No machine boots, so the gate's program becomes one that succeeds.
  for (const { provisioner = [] } of Object.values(document.resource.terraform_data)) {
    for (const { 'local-exec': command } of provisioner) command.environment['BOTSTACK_NODE'] = '/bin/true';
  }
  // The provider asks ten times, five seconds apart, whether it is there.
  delete document.resource.aws_s3_bucket_lifecycle_configuration;
  writeFileSync(file, JSON.stringify(document, null, 2));
}
