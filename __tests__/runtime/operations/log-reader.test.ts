import { utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { readLog, type LogFilter } from '../../../runtime/src/operations/log-reader';
import { temporaryFolder } from '../../support/temporary-folder';

const folder = temporaryFolder();
const line = (day: number, level: string) => `[2026-01-0${day} 10:00:00] [${level}] day ${day}`;

async function read(filter: Partial<LogFilter>, most?: number): Promise<string[]> {
  const lines: string[] = [];
  await readLog(folder(), { levels: undefined, since: undefined, ...filter }, most, (text) =>
    lines.push(text),
  );
  return lines;
}

beforeEach(() => {
  writeFileSync(join(folder(), 'bot.log'), `${line(3, 'INF')}\n${line(4, 'ERR')}\n`);
  writeFileSync(join(folder(), 'bot.log.1'), `${line(2, 'SEC')}\n`);
  writeFileSync(join(folder(), 'bot.log.2.gz'), gzipSync(`${line(1, 'ERR')}\n`));
  writeFileSync(join(folder(), 'metrics.log'), 'not a log\n');
});

test('reads over rotations, oldest first', async () => {
  expect(await read({})).toEqual([line(1, 'ERR'), line(2, 'SEC'), line(3, 'INF'), line(4, 'ERR')]);
});

test('keeps to levels, to a time and to a number of lines, the newest', async () => {
  expect(await read({ levels: ['ERR'] })).toEqual([line(1, 'ERR'), line(4, 'ERR')]);
  expect(await read({ since: new Date('2026-01-03T00:00:00Z') })).toEqual([line(3, 'INF'), line(4, 'ERR')]);
  expect(await read({ levels: ['ERR', 'SEC'] }, 2)).toEqual([line(2, 'SEC'), line(4, 'ERR')]);
});

test('does not open files that ended before the time', async () => {
  const long = new Date('2025-12-01T00:00:00Z');
  writeFileSync(join(folder(), 'bot.log.2.gz'), 'would be an error to read');
  utimesSync(join(folder(), 'bot.log.2.gz'), long, long);
  expect(await read({ since: new Date('2026-01-04T00:00:00Z') })).toEqual([line(4, 'ERR')]);
});
