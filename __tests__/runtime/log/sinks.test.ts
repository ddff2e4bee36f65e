import { mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { createLogRing, openFileSink, type FileSink } from '../../../runtime/src/log/sinks';
import { temporaryFolder } from '../../support/temporary-folder';

const folder = temporaryFolder();
let sink: FileSink;
let problems: string[];
let path: string;

beforeEach(() => {
  problems = [];
  path = join(folder(), 'bot.log');
  sink = openFileSink(path, (text) => problems.push(text));
});
afterEach(() => {
  jest.useRealTimers();
  sink.close();
});

describe('openFileSink', () => {
  test('appends to what is there, for its owner alone to read', () => {
    sink.write('one');
    const second = openFileSink(path, () => undefined);
    second.write('two');
    second.close();
    expect(readFileSync(path, 'utf8')).toBe('one\ntwo\n');
    expect(statSync(path).mode & 0o077).toBe(0);
  });

  test('loses no line when logrotate renames the file, and comes back to the name by itself', () => {
    jest.useFakeTimers();
    sink.write('before');
    renameSync(path, `${path}.1`);
    sink.write('in between');
    jest.advanceTimersByTime(1001);
    sink.write('after');
    expect(readFileSync(`${path}.1`, 'utf8')).toBe('before\nin between\n');
    expect(readFileSync(path, 'utf8')).toBe('after\n');
  });

  test('comes back at once when told to reopen', () => {
    renameSync(path, `${path}.1`);
    sink.reopen();
    sink.write('after');
    expect(readFileSync(path, 'utf8')).toBe('after\n');
  });

  test('says once that it cannot write, and lets the service live', () => {
    jest.useFakeTimers();
    rmSync(path);
    mkdirSync(path);
    for (let line = 0; line < 3; line++) {
      jest.advanceTimersByTime(1001);
      sink.write('x');
    }
    expect(problems).toEqual([expect.stringMatching(/cannot write to .*bot\.log: EISDIR/)]);
  });
});

test('the ring keeps the newest lines', () => {
  const ring = createLogRing(3);
  for (const line of ['a', 'b', 'c', 'd']) ring.write(line);
  expect(ring.lines()).toEqual(['b', 'c', 'd']);
});
