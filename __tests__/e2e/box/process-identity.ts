/** A process by number and start time: a number alone may belong to somebody else by the time it is signalled. */
import { readFileSync } from 'node:fs';

export interface ProcessIdentity {
  pid: number;
  /** Clock ticks since boot at which the process started (field 22 of /proc/PID/stat). */
  startTime: string;
}

/** The identity of a running process, or undefined when there is none with this number. */
export function identify(pid: number): ProcessIdentity | undefined {
  const fields = stat(pid);
  return fields && { pid, startTime: fields.startTime };
}

/** True while this very process runs; a zombie counts as ended. */
export function isAlive({ pid, startTime }: ProcessIdentity): boolean {
  const fields = stat(pid);
  return fields !== undefined && fields.startTime === startTime && fields.state !== 'Z';
}

/** Signals the process and its group (every process of ours leads a group of its own). */
export function signalGroup(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  if (!isAlive(identity)) return;
  try {
    process.kill(-identity.pid, signal);
  } catch {
    try {
      process.kill(identity.pid, signal);
    } catch {
      // It ended by itself in the meantime.
    }
  }
}

function stat(pid: number): { state: string; startTime: string } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command name stands in brackets and may itself hold blanks and brackets.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [state, startTime] = [fields[0], fields[19]];
    return state && startTime ? { state, startTime } : undefined;
  } catch {
    return undefined;
  }
}
