/**
 * Another release: backed up first, checked, unpacked beside the old one, switched to in one step, proved by an
 * answer. Until then the old one answers, where the service can do that; it stays on the disk, and comes back where the new
 * one does not answer.
 */
import { basename, join } from 'node:path';

import { messageOf } from '../errors/message-of.js';
import { backUp } from './backup.js';
import { exclusively, serviceEnvironment, type Installation } from './installation.js';
import {
  addRelease,
  currentRelease,
  installedReleases,
  markProved,
  removeOldReleases,
  removeUnproved,
  switchTo,
  type Release,
} from './release.js';
import { runCommand } from './run-command.js';
import { proveAnswer, readApiKey } from './service-client.js';
import { WentOn, type ServiceManager } from './service-manager.js';

export interface UpgradeOptions {
  readonly version: string;
  /** A bundle, as `npm run bundle` makes it. Without it the version must be among the releases on this machine. */
  readonly from?: string | undefined;
  /** The bundle's SHA-256. Default: the digits in its name. */
  readonly sha256?: string | undefined;
  /** Restarts the service, in the place of a reload. @default false */
  readonly restart?: boolean | undefined;
}

/** @throws Error with the cause; the old release runs and answers then, or the message says that it does not */
export function upgrade(installation: Installation, options: UpgradeOptions): Promise<void> {
  return exclusively(installation, async () => {
    installation.manager.check();
    const { layout, say } = installation;
    const old = await currentRelease(layout);
    // However it came to run: it is what the next one is measured by.
    await markProved(old);
    const next = await accepted(installation, options, old);
    if (next === undefined) return;
    // One that is taken back stays until the next upgrade: its process may still end answers.
    await switchAndProve(installation, { old, next, isRestart: options.restart === true });
    await markProved(next);
    await removeOldReleases(layout, [next, old]);
    say(`to go back: bot upgrade --version ${old.version}`);
  });
}

/** The new release, with a backup made; undefined where it runs already. @throws Error where it is refused */
async function accepted(
  installation: Installation,
  options: UpgradeOptions,
  old: Release,
): Promise<Release | undefined> {
  const { layout, say } = installation;
  try {
    const next = await prepared(installation, options);
    if (next.name === old.name) {
      say(`version ${next.version} (${next.name}) runs already`);
      return undefined;
    }
    await checkConfiguration(installation, next);
    await checkKey(installation);
    const backup = await backUp({ layout, version: old.version, warn: installation.warn });
    say(`backup: ${backup.path} (SHA-256 ${backup.sha256})`);
    return next;
  } catch (error) {
    // Whoever named a bundle has it.
    if (options.from !== undefined) await removeUnproved(layout);
    throw error;
  }
}

async function prepared({ layout, say }: Installation, options: UpgradeOptions): Promise<Release> {
  const { version, from } = options;
  if (from === undefined) return onThisMachine(await installedReleases(layout), version);
  const release = await addRelease(layout, from, expectedHash(from, options.sha256));
  if (release.version !== version) {
    throw new Error(`${from} is version ${release.version}, not ${version}; correct --version or --from`);
  }
  say(`release: version ${version} in ${release.folder}, checked by its SHA-256`);
  return release;
}

function expectedHash(file: string, given: string | undefined): string {
  const digits = given ?? /-([0-9a-f]{12})\.tar\.gz$/.exec(basename(file))?.[1];
  if (digits !== undefined) return digits;
  throw new Error(`the name of ${file} does not end in the digits of its SHA-256; give it with --sha256`);
}

async function checkConfiguration(installation: Installation, release: Release): Promise<void> {
  const { configFile, layout } = installation;
  const environment = serviceEnvironment(layout, process.env);
  const { status, output } = await runCommand(
    [join(release.folder, 'bin/bot'), 'config', 'check', '--config', configFile],
    { environment },
  );
  if (status === 0) return;
  // Each problem is a line, and all of them have to be corrected before the next try.
  throw new Error(
    `version ${release.version} does not take the configuration, nothing was changed:\n${output.trimEnd()}`,
  );
}

/** Without it no version could be proved, and a good one would be taken back. */
async function checkKey(installation: Installation): Promise<void> {
  try {
    await readApiKey(installation);
  } catch (error) {
    throw new Error(
      `the API key, with which the new version would be asked, cannot be read; nothing was changed: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

async function switchAndProve(
  installation: Installation,
  { old, next, isRestart }: { old: Release; next: Release; isRestart: boolean },
): Promise<void> {
  const { layout, manager, say } = installation;
  await switchTo(layout, next);
  say(`switched from version ${old.version} to ${next.version}; it is loaded`);
  try {
    say(await (isRestart ? restarted(manager) : manager.renew()));
    say(await proveAnswer(installation, { version: next.version }));
  } catch (error) {
    const cause = messageOf(error);
    say(`version ${next.version} does not work: ${cause}`);
    await switchTo(layout, old);
    if (error instanceof WentOn && (await goesOn(installation, old)))
      throw new Error(`not upgraded, version ${old.version} goes on and answers: ${cause}`, { cause: error });
    await comeBack(installation, old);
    throw new Error(`not upgraded, version ${old.version} is back and answers: ${cause}`, { cause: error });
  }
}

async function restarted(manager: ServiceManager): Promise<string> {
  await manager.restart();
  return 'the service was restarted, as asked for';
}

async function goesOn({ say, ...rest }: Installation, old: Release): Promise<boolean> {
  try {
    say(`version ${old.version} ran all the time: ${await proveAnswer(rest, { version: old.version })}`);
    return true;
  } catch (error) {
    say(`version ${old.version} does not: ${messageOf(error)}`);
    return false;
  }
}

async function comeBack({ manager, say, ...rest }: Installation, old: Release): Promise<void> {
  try {
    say(await manager.renew());
    say(`back: ${await proveAnswer(rest, { version: old.version })}`);
  } catch (error) {
    throw new Error(
      `version ${old.version} is in its place again, but does not answer: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

function onThisMachine(releases: readonly Release[], version: string): Release {
  const release = releases.find((candidate) => candidate.version === version);
  if (release !== undefined) return release;
  const versions = releases.map((candidate) => candidate.version).join(', ');
  throw new Error(
    `version ${version} is not on this machine (here: ${versions}); copy its bundle here and name it with --from FILE`,
  );
}
