/** The places log lines go: standard output, a file that may be rotated away at any time, a ring in memory. */
import { closeSync, fstatSync, ftruncateSync, openSync, statSync, writeSync } from 'node:fs';

import type { LogSink } from './logger.js';

export const stdoutSink: LogSink = {
  write(line) {
    process.stdout.write(`${line}\n`);
  },
};

/** How often, at most, a file sink looks whether its file was rotated away. */
const ROTATION_CHECK_MS = 1000;

export interface FileSink extends LogSink {
  /** Opens the file by its name again. */
  reopen(): void;
  close(): void;
}

/**
 * Appends to a file and follows its name: after logrotate has renamed it, lines go on into the renamed file until
 * the next check, so that none is lost, with no signal needed. A full disk silences the file, never the service.
 */
export function openFileSink(path: string, onProblem: (text: string) => void): FileSink {
  const open = () => openSync(path, 'a', 0o600);
  let file = open();
  let checkedAt = Date.now();
  let failing = false;

  const guarded = (action: () => void) => {
    try {
      action();
      failing = false;
    } catch (error) {
      if (!failing) onProblem(`cannot write to ${path}: ${(error as Error).message}`);
      failing = true;
    }
  };

  const reopen = () => {
    const next = open();
    closeSync(file);
    file = next;
  };

  return {
    write(line) {
      guarded(() => {
        const now = Date.now();
        if (now - checkedAt >= ROTATION_CHECK_MS) {
          checkedAt = now;
          if (wasReplaced(file, path)) reopen();
        }
        writeWhole(file, Buffer.from(`${line}\n`));
      });
    },
    reopen: () => guarded(reopen),
    close: () => closeSync(file),
  };
}

/** The last bytes of a disk take half a line, without an error: the next line would be joined to it. */
function writeWhole(file: number, bytes: Buffer): void {
  let written = 0;
  try {
    while (written < bytes.length) written += writeSync(file, bytes, written);
  } catch (error) {
    if (written > 0) ftruncateSync(file, fstatSync(file).size - written);
    throw error;
  }
}

function wasReplaced(file: number, path: string): boolean {
  const named = statSync(path, { throwIfNoEntry: false });
  const opened = fstatSync(file);
  return named === undefined || named.ino !== opened.ino || named.dev !== opened.dev;
}

export interface LogRing extends LogSink {
  /** Oldest first. */
  lines(): readonly string[];
}

/** Keeps the last `size` lines in memory, for the console. */
export function createLogRing(size = 200): LogRing {
  const kept: string[] = [];
  return {
    write(line) {
      kept.push(line);
      if (kept.length > size) kept.shift();
    },
    lines: () => [...kept],
  };
}
