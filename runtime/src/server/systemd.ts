/**
 * Tells systemd how the service is. Node has no datagram sockets of the unix kind, so the messages go through the
 * systemd-notify binary; the unit therefore needs `NotifyAccess=all`. Without NOTIFY_SOCKET nothing is sent.
 */
import { execFile } from 'node:child_process';

import type { Environment } from '../config/environment.js';

export interface ServiceManager {
  /** READY=1, once the model has answered. */
  ready(status: string): Promise<void>;
  /** READY=1 from a process that has taken the place of the one that systemd started: MAINPID says so. */
  takeOver(status: string): Promise<void>;
  /** Another process speaks for the service from now on. Resolves when all is sent. */
  resign(): Promise<void>;
  /** One line for `systemctl status`; nothing after `stopping` or `resign`. */
  status(text: string): Promise<void>;
  /** STOPPING=1, and no watchdog pings any more. */
  stopping(): Promise<void>;
  /** Pings the watchdog, if the unit has one, as long as `isWell` says so. */
  startWatchdog(isWell: () => Promise<boolean>): void;
  close(): void;
}

export function connectServiceManager(env: Environment, onProblem: (text: string) => void): ServiceManager {
  const socket = env['NOTIFY_SOCKET'];
  let timer: NodeJS.Timeout | undefined;
  let complained = false;
  let isSilent = false;
  let lastSent = Promise.resolve();

  /** One after the other: each message is a process, and the newest status must arrive last. */
  const send = (...messages: readonly string[]): Promise<void> => {
    if (socket === undefined || socket === '') return Promise.resolve();
    lastSent = lastSent.then(() => notify(messages));
    return lastSent;
  };

  const notify = (messages: readonly string[]): Promise<void> =>
    new Promise((resolve) => {
      execFile('systemd-notify', [...messages], { timeout: 5000, env }, (error) => {
        if (error !== null && !complained) {
          complained = true;
          onProblem(`systemd-notify failed (${error.message.trim()}); the unit needs NotifyAccess=all`);
        }
        resolve();
      });
    });

  return {
    ready: (status) => send('READY=1', `STATUS=${status}`),
    // The watchdog goes on counting from the last sign of life of the process before.
    takeOver: (status) => send('READY=1', `MAINPID=${process.pid}`, 'WATCHDOG=1', `STATUS=${status}`),
    resign: () => {
      isSilent = true;
      clearInterval(timer);
      return lastSent;
    },
    status: (text) => (isSilent ? Promise.resolve() : send(`STATUS=${text}`)),
    stopping: () => {
      if (isSilent) return lastSent;
      isSilent = true;
      clearInterval(timer);
      return send('STOPPING=1', 'STATUS=finishing running answers');
    },
    startWatchdog(isWell) {
      const intervalMs = watchdogInterval(env);
      if (intervalMs === undefined) return;
      timer = setInterval(() => {
        void isWell().then((well) => (well ? send('WATCHDOG=1') : undefined));
      }, intervalMs);
      timer.unref();
    },
    close: () => clearInterval(timer),
  };
}

/** Half of the unit's WatchdogSec, as systemd recommends; undefined when it has none or means another process. */
export function watchdogInterval(env: Environment): number | undefined {
  const microseconds = Number(env['WATCHDOG_USEC']);
  const pid = env['WATCHDOG_PID'];
  if (!Number.isFinite(microseconds) || microseconds <= 0) return undefined;
  if (pid !== undefined && pid !== '' && Number(pid) !== process.pid) return undefined;
  return microseconds / 1000 / 2;
}
