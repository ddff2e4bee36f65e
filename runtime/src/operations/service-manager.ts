/** Whoever starts and stops the service: systemd, or a command that the operator names where there is none. */
import { existsSync } from 'node:fs';

import { lastLine, runCommand } from './run-command.js';

export interface ServiceManager {
  /** Asked before anything is changed that needs a restart. @throws Error where the service cannot be restarted */
  check(): void;
  /** Ends the service when its running answers are done. Resolves also when it did not run. @throws Error */
  stop(): Promise<void>;
  /** Starts it anew. May return before it answers. @throws Error with the service's own last words where known */
  restart(): Promise<void>;
  /**
   * Puts the release and the configuration on the disk to work: without a pause where the service that runs can do that,
   * else as `restart` does.
   *
   * @returns a line that says how
   * @throws Error with the service's own last words where known; WentOn where the one that ran goes on
   */
  renew(): Promise<string>;
  /** Tells whoever reads the settings beside the service: nginx has its certificate from there. @throws Error */
  settingsChanged(): Promise<void>;
}

const UNIT = 'bot.service';

export interface SystemdPaths {
  /** Of whichever release is current. The unit calls it, too. */
  readonly bot: string;
  /** Of a service that can give its place to a new process: see `bot reload`. */
  readonly reloadSocket: string;
}

/** The new process did not take over, and the one before runs as if nothing had been. */
export class WentOn extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'WentOn';
  }
}

export function systemdWith({ bot, reloadSocket }: SystemdPaths): ServiceManager {
  /** Not where the service is stopped, or failed, or where one of the two is of a release before there was a reload. */
  async function canReload(): Promise<boolean> {
    if (!existsSync(reloadSocket)) return false;
    // Of a command that it does not know, too, `bot` gives help: its own, with status 0.
    return /^Usage: bot reload\b/m.test((await runCommand([bot, 'reload', '--help'])).output);
  }
  return {
    check: () => undefined,
    async stop() {
      const { status, output } = await runCommand(['systemctl', 'stop', UNIT]);
      if (status !== 0) throw new Error(`${UNIT} does not stop: ${lastLine(output)}`);
    },
    restart: restartUnit,
    async renew() {
      if (await canReload()) {
        await reloadUnit();
        return 'the new process took over from the old one without a pause';
      }
      await restartUnit();
      return 'the service was restarted';
    },
    async settingsChanged() {
      const { status, output } = await runCommand(['systemctl', 'try-reload-or-restart', 'nginx.service']);
      if (status !== 0) throw new Error(`nginx does not take the settings: ${lastLine(output)}`);
    },
  };
}

export const systemd = systemdWith({ bot: '/opt/bot/bin/bot', reloadSocket: '/run/bot/reload.sock' });

async function restartUnit(): Promise<void> {
  const from = Math.floor(Date.now() / 1000);
  // A release that failed may have used up the starts that the unit allows itself.
  await runCommand(['systemctl', 'reset-failed', UNIT]);
  const { status, output } = await runCommand(['systemctl', 'restart', UNIT]);
  if (status === 0) return;
  throw new Error(`${UNIT} does not start: ${(await lastError(from)) ?? lastLine(output)}`);
}

/** @throws WentOn with the service's own last words where known */
export async function reloadUnit(): Promise<void> {
  const from = Math.floor(Date.now() / 1000);
  const { status, output } = await runCommand(['systemctl', 'reload', UNIT]);
  if (status === 0) return;
  const cause = (await lastError(from))?.replace(/^reload: this process goes on: /, '');
  throw new WentOn(cause ?? lastLine(output));
}

/**
 * A shell command that gets `stop` or `restart` as its argument: for containers and images without systemd.
 *
 * `restart` may return before the service answers; it has to leave the service running.
 */
export function serviceCommand(command: string): ServiceManager {
  const tell = async (verb: 'stop' | 'restart') => {
    const { status, output } = await runCommand(['sh', '-c', `${command} "$0"`, verb]);
    if (status !== 0) throw new Error(`\`${command} ${verb}\` failed: ${lastLine(output)}`);
  };
  return {
    check: () => undefined,
    stop: () => tell('stop'),
    restart: () => tell('restart'),
    async renew() {
      await tell('restart');
      return 'the service was restarted';
    },
    settingsChanged: () => Promise.resolve(),
  };
}

/** Of an installation below another folder, where nobody has said what restarts it. */
export const unknownManager: ServiceManager = {
  check: refuse,
  stop: async () => refuse(),
  restart: async () => refuse(),
  renew: async () => refuse(),
  settingsChanged: async () => refuse(),
};

function refuse(): never {
  throw new Error(
    '--root needs --service-command too, to restart the service: systemd knows only the service of this machine',
  );
}

/** What the service said last at level ERR, or as a configuration error, since this Unix time. */
async function lastError(since: number): Promise<string | undefined> {
  const { output } = await runCommand([
    'journalctl',
    ...['--unit', UNIT, '--since', `@${since}`, '--output', 'cat', '--no-pager'],
  ]);
  const lines = output
    .split('\n')
    .filter((line) => line.includes('[ERR]') || /^\/etc\/bot\/\S+: /.test(line));
  return lines.at(-1)?.replace(/^.*\[ERR\] /, '');
}
