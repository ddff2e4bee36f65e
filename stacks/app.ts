/** From props to a synthesised app. main.ts runs it; the end-to-end test builds the same app with other props. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { App } from 'cdktf';

import { BotStack } from './bot-stack';
import { expectedDecode, findInstanceType } from './catalogue';
import type { GateProgram } from './constructs/readiness';
import { costLines } from './cost';
import { askService, withMyAddress } from './my-address';
import { checkTerraform, foresee } from './preflight';
import { type Prepared, prepareArtifacts } from './prepare';
import { listProblems, ProblemsError } from './problems';
import { type BotProps, MY_ADDRESS, type ResolvedProps } from './props';
import { resolveProps } from './props/resolve';
import { checkStateBucket, keepState } from './state';
import { ROOT } from './version';

export interface BuildOptions {
  /** Bundle and model that are there already. @default they are built and fetched */
  readonly artifacts?: Prepared;
  /** @default `terraform.<name>.tfstate` in the working directory */
  readonly statePath?: string;
  /** Where the synthesised files go. @default `CDKTF_OUTDIR`, which cdktf sets, else `cdktf.out` */
  readonly outdir?: string;
  /** @default asks checkip.amazonaws.com */
  readonly askMyAddress?: () => Promise<string>;
  /** Takes one line of progress. @default standard output, which cdktf shows while it synthesises */
  readonly say?: (line: string) => void;
}

/** The id of the only stack. Changing it would make Terraform forget the deployment. */
export const STACK_ID = 'bot';

/** @throws ProblemsError listing everything that the person who deploys can put right. */
export async function buildApp(given: BotProps, options: BuildOptions = {}): Promise<App> {
  const say = options.say ?? ((line: string) => process.stdout.write(`${line}\n`));
  const resolved = resolveProps(given);
  const ask = options.askMyAddress ?? askService;
  const props = {
    ...resolved,
    allowedCidrs: await withMyAddress(resolved.allowedCidrs, async () => {
      const address = await ask();
      say(`allowedCidrs: ${MY_ADDRESS} is ${address}/32`);
      return address;
    }),
  };
  const artifacts = options.artifacts ?? (await prepareArtifacts(props, say));
  for (const line of estimate(props, artifacts)) say(line);

  const app = new App({ outdir: options.outdir });
  const stack = new BotStack(app, STACK_ID, {
    props,
    bundle: artifacts.bundle,
    model: artifacts.model,
    gate: gateProgram(),
    certificateFile: join(ROOT, '.artifacts', `${props.name}-certificate.pem`),
  });
  const stateFile = options.statePath ?? `terraform.${props.name}.tfstate`;
  keepState(stack, props, join(app.outdir, 'stacks', STACK_ID), stateFile);
  if (props.protect) say('protect: destroy is refused; to lift that, set protect: false');
  return app;
}

/** What it will cost and how fast it will be, as far as anybody can know beforehand. */
function estimate(props: ResolvedProps, { bundle, model }: Prepared): string[] {
  const instance = findInstanceType(props.instanceType);
  const decode = instance && expectedDecode(instance, model.sizeBytes);
  const speed =
    decode === undefined
      ? `speed: nobody published figures of ${props.instanceType} for language models`
      : `speed: about ${Math.round(decode)} tokens a second for one request (from Spare Cores' figures of ${props.instanceType})`;
  return [...costLines(props, { bundleBytes: bundle.sizeBytes, modelBytes: model.sizeBytes }), speed];
}

function gateProgram(): GateProgram {
  return {
    node: process.execPath,
    tsx: require.resolve('tsx/cli'),
    script: join(ROOT, 'scripts', 'wait-ready.ts'),
  };
}

/** destroy needs none of what a deploy needs, but cdktf runs this for it too, unless told not to. */
const DESTROY_HINT = 'To take a deployment down without putting this right: npx cdktf destroy --skip-synth';

/** Whether an earlier deploy left what `--skip-synth` goes by. */
function wasSynthesised(): boolean {
  return existsSync(join(process.env['CDKTF_OUTDIR'] ?? 'cdktf.out', 'manifest.json'));
}

/** What main.ts calls: builds and synthesises, or says what is wrong without a stack trace and exits with 1. */
export async function run(props: BotProps, options: BuildOptions = {}): Promise<void> {
  let hasTerraform = false;
  try {
    checkTerraform();
    hasTerraform = true;
    const app = await buildApp(props, options);
    const region = props.region ?? 'us-east-1';
    await checkStateBucket(props.state, region);
    app.synth();
    for (const note of await foresee(region, app.outdir)) {
      process.stdout.write(`note: ${note}\n`);
    }
  } catch (error) {
    if (!(error instanceof ProblemsError)) {
      throw error;
    }
    const hint = hasTerraform && wasSynthesised() ? `${DESTROY_HINT}\n` : '';
    process.stderr.write(`\n${listProblems(error)}\n${hint}`);
    process.exitCode = 1;
  }
}
