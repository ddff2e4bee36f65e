/** Puts a backup back: verifies it first, keeps the present state aside, proves the result by an answer, else goes back. */
import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { counted } from '../errors/counted.js';
import { messageOf } from '../errors/message-of.js';
import { BACKED_UP, isThere, unpackVerified, type Manifest } from './backup.js';
import { exclusively, type Installation } from './installation.js';
import { formerPolicyCounts, restoredPolicyCounts } from './restored-policy.js';
import {
  keepRevocations,
  registerPlace,
  sealedRegisters,
  takeBackRevocations,
  type SealedRegisters,
} from './restored-register.js';
import { mustRun } from './run-command.js';
import { proveAnswer } from './service-client.js';

const LOGS = 'var/log/bot';

export interface RestoreOptions {
  readonly file: string;
  /** Puts the logs back too. Without it the present ones go on. @default false */
  readonly withLogs?: boolean | undefined;
}

/** One folder that is to be exchanged. */
interface Exchange {
  readonly place: string;
  readonly restored: string;
  /** Where the present one is kept. */
  readonly aside: string;
}

/** @throws Error with the cause; the state is what it was before then, or the message says where it lies */
export function restore(installation: Installation, options: RestoreOptions): Promise<void> {
  return exclusively(installation, async () => {
    installation.manager.check();
    const { layout, say } = installation;
    await mkdir(layout.backups, { recursive: true, mode: 0o700 });
    const staging = await mkdtemp(join(layout.backups, '.restore-'));
    try {
      const manifest = await unpackVerified(options.file, staging);
      say(
        `verified: ${counted(manifest.files.length, 'file')} of ${manifest.createdAt}, written by version ${manifest.version}`,
      );
      await exchangeAndProve(installation, await planned(installation, staging, manifest, options));
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  });
}

async function planned(
  { layout }: Installation,
  staging: string,
  manifest: Manifest,
  { withLogs }: RestoreOptions,
): Promise<readonly Exchange[]> {
  const stamp = manifest.createdAt.slice(0, 19).replace(/[-:]/g, '');
  const exchanges: Exchange[] = [];
  for (const tree of BACKED_UP) {
    const restored = join(staging, tree);
    if ((tree === LOGS && withLogs !== true) || !(await isThere(restored))) continue;
    const place = join(layout.root, tree);
    exchanges.push({ place, restored, aside: await freeAside(`${place}.before-${stamp}`) });
  }
  return exchanges;
}

async function freeAside(path: string): Promise<string> {
  for (let count = 1; ; count++) {
    const candidate = count === 1 ? path : `${path}-${count}`;
    if (!(await isThere(candidate))) return candidate;
  }
}

async function exchangeAndProve(installation: Installation, exchanges: readonly Exchange[]): Promise<void> {
  const { manager, say } = installation;
  // Copied beside their places while the service still runs: the exchange itself is renames only.
  const beside = await Promise.all(exchanges.map(moveBeside));
  const place = await registerPlace(installation);
  await manager.stop();
  const registers = await sealedRegisters(place);
  const done: Exchange[] = [];
  try {
    for (const exchange of beside) {
      if (await isThere(exchange.place)) await rename(exchange.place, exchange.aside);
      await rename(exchange.restored, exchange.place);
      done.push(exchange);
      if (exchange.place === installation.layout.state)
        await restoredPolicyCounts(exchange.place, exchange.aside);
    }
    await keepRevocations(installation, registers);
    await manager.restart();
    await manager.settingsChanged();
    say(await proveAnswer(installation, {}));
    for (const { aside } of done) if (await isThere(aside)) say(`the state before is kept in ${aside}`);
  } catch (error) {
    const cause = messageOf(error);
    say(`the restored state does not work: ${cause}`);
    await goBack(installation, beside, done);
    throw new Error(`not restored, the state before is back and answers: ${cause}`, { cause: error });
  } finally {
    await Promise.all(beside.map(({ restored }) => rm(restored, { recursive: true, force: true })));
  }
}

async function moveBeside(exchange: Exchange): Promise<Exchange> {
  const restored = `${exchange.place}.restored`;
  await rm(restored, { recursive: true, force: true });
  await mkdir(dirname(restored), { recursive: true });
  const sameDisk = (await stat(dirname(restored))).dev === (await stat(exchange.restored)).dev;
  if (sameDisk) await rename(exchange.restored, restored);
  else await mustRun(['cp', '-a', '--', exchange.restored, restored], `copying to ${restored}`);
  return { ...exchange, restored };
}

/** `done`: those whose restored folder took its place. */
async function goBack(
  installation: Installation,
  exchanges: readonly Exchange[],
  done: readonly Exchange[],
): Promise<void> {
  const { layout, manager, say } = installation;
  await manager.stop().catch(() => undefined);
  const meanwhile = await sealedRegisters(await registerPlace(installation));
  for (const exchange of exchanges) {
    const { place, aside } = exchange;
    const isBefore = await isThere(aside);
    if (done.includes(exchange)) {
      if (isBefore && place === layout.state) await formerPolicyCounts(place, aside);
      await rm(place, { recursive: true, force: true });
    }
    if (isBefore) await rename(aside, place);
  }
  await keepMeanwhile(installation, meanwhile);
  try {
    await manager.restart();
    await manager.settingsChanged();
    say(`back: ${await proveAnswer(installation, {})}`);
  } catch (error) {
    throw new Error(
      `the state before is back in its place, but the service does not answer: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/** Nothing stands in the way of the state before. */
async function keepMeanwhile(installation: Installation, meanwhile: SealedRegisters): Promise<void> {
  try {
    await takeBackRevocations(installation, meanwhile);
  } catch (error) {
    const cause = messageOf(error);
    installation.warn(`what was revoked while the restored state ran is not known any more: ${cause}`);
  }
}
