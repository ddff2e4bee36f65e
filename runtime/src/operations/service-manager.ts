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
/** The unit calls it, too. */
const BOT = '/opt/bot/bin/bot';
/** Of a service that can give its place to a new process: see `bot reload`. */
const RELOAD_SOCKET = '/run/bot/reload.sock';

/** The new process did not take over, and the one before runs as if nothing had been. */
export class WentOn extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'WentOn';
  }
}

export const systemd: ServiceManager = {
  check: () => undefined,
  async stop() {
    const { status, output } = await runCommand(['systemctl', 'stop', UNIT]);
    if (status !== 0) throw new Error(`${UNIT} does not stop: ${lastLine(output)}`);
  },
  async restart() {
    const from = Math.floor(Date.now() / 1000);
    // A release that failed may have used up the starts that the unit allows itself.
    await runCommand(['systemctl', 'reset-failed', UNIT]);
    const { status, output } = await runCommand(['systemctl', 'restart', UNIT]);
    if (status === 0) return;
    throw new Error(`${UNIT} does not start: ${(await lastError(from)) ?? lastLine(output)}`);
  },
  async renew() {
    // Stopped, or failed, or one of the two is of a release before there was a reload.
    if (!existsSync(RELOAD_SOCKET) || (await runCommand([BOT, 'reload', '--help'])).status !== 0) {
      await systemd.restart();
      return 'the service was restarted';
    }
    await reloadUnit();
    return 'the new process took over from the old one without a pause';
  },
  async settingsChanged() {
    const { status, output } = await runCommand(['systemctl', 'try-reload-or-restart', 'nginx.service']);
    if (status !== 0) throw new Error(`nginx does not take the settings: ${lastLine(output)}`);
  },
};

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
