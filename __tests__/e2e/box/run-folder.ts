/** One run of the box: its folder, its number (which makes its names and addresses its own), and its undo list. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unmountBelow } from './mounts';
import { identify, isAlive, type ProcessIdentity } from './process-identity';
import { UndoLog } from './undo-log';

const PREFIX = 'botstack-e2e-';

interface RunRecord {
  owner: ProcessIdentity;
  kept: boolean;
}

export class RunFolder {
  readonly undo: UndoLog;
  readonly logs: string;

  private constructor(readonly path: string) {
    this.undo = new UndoLog(join(path, 'undo.jsonl'));
    this.logs = join(path, 'logs');
  }

  /** Makes a fresh folder under the system's folder for temporary files. */
  static create(): RunFolder {
    const folder = new RunFolder(mkdtempSync(join(tmpdir(), PREFIX)));
    mkdirSync(folder.logs);
    folder.#record(false);
    return folder;
  }

  /** Runs that are still there: kept ones, ones in progress, and the remains of ones that were killed. */
  static existing(): { folder: RunFolder; state: 'running' | 'kept' | 'abandoned' }[] {
    return readdirSync(tmpdir())
      .filter((name) => name.startsWith(PREFIX) && existsSync(join(tmpdir(), name, 'run.json')))
      .map((name) => {
        const folder = new RunFolder(join(tmpdir(), name));
        const record = JSON.parse(readFileSync(join(folder.path, 'run.json'), 'utf8')) as RunRecord;
        return {
          folder,
          state: record.kept ? 'kept' : isAlive(record.owner) ? 'running' : 'abandoned',
        } as const;
      });
  }

  /** A path inside the folder, its parent made. */
  file(...parts: string[]): string {
    const path = join(this.path, ...parts);
    mkdirSync(join(path, '..'), { recursive: true });
    return path;
  }

  folder(...parts: string[]): string {
    const path = join(this.path, ...parts);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** From now on the run stands until `--down`. */
  keep(): void {
    this.#record(true);
  }

  /** Takes back everything the run changed. With `keepLogs` the folder stays, holding only the logs. */
  tearDown(keepLogs: boolean): string[] {
    const problems = this.undo.rollBack();
    // A run that was killed may have mounted what it had no time to write down.
    problems.push(...unmountBelow(this.path).map((path) => `${path} is still mounted`));
    if (problems.length > 0) return problems;
    if (!keepLogs) {
      rmSync(this.path, { recursive: true, force: true });
      return [];
    }
    for (const name of readdirSync(this.path)) {
      if (name !== 'logs') rmSync(join(this.path, name), { recursive: true, force: true });
    }
    return [];
  }

  #record(kept: boolean): void {
    const owner = identify(process.pid);
    if (!owner) throw new Error('/proc does not show this process: is /proc mounted?');
    // Whole or not there, whenever this process is killed.
    const file = join(this.path, 'run.json');
    writeFileSync(`${file}.new`, JSON.stringify({ owner, kept } satisfies RunRecord));
    renameSync(`${file}.new`, file);
  }
}
