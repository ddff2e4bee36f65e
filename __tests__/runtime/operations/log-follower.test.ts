import { appendFileSync, renameSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { followLog } from '../../../runtime/src/operations/log-follower';
import type { LogPosition } from '../../../runtime/src/operations/log-reader';
import { temporaryFolder } from '../../support/temporary-folder';
import { until } from '../support/test-service';

const folder = temporaryFolder();
const log = () => join(folder(), 'bot.log');
const rotated = () => join(folder(), 'bot.log.1');
const line = (text: string, level = 'INF') => `[2026-01-03 10:00:00] [${level}] ${text}`;
const say = (file: string, text: string, level?: string) => appendFileSync(file, `${line(text, level)}\n`);

function end(file: string): LogPosition {
  const { ino, size } = statSync(file);
  return { inode: ino, offset: size };
}

/** What has come by the end of `meanwhile`. */
async function follow(from: LogPosition, meanwhile: (lines: readonly string[]) => Promise<void>) {
  const stop = new AbortController();
  const lines: string[] = [];
  const filter = { levels: ['INF'] as const, since: undefined };
  const following = followLog(folder(), filter, from, (text) => lines.push(text), stop.signal);
  try {
    await meanwhile(lines);
  } finally {
    stop.abort();
    await following;
  }
  return lines;
}

const have = (lines: readonly string[], count: number) => until(() => lines.length >= count);

beforeEach(() => writeFileSync(log(), `${line('old')}\n`));

test('new lines, of the levels that were asked for', async () => {
  const lines = await follow(end(log()), async (got) => {
    say(log(), 'one');
    say(log(), 'not asked for', 'ERR');
    say(log(), 'two');
    await have(got, 2);
  });
  expect(lines).toEqual([line('one'), line('two')]);
});

test('what is still written to the file that was rotated away, before what comes to the new one', async () => {
  const lines = await follow(end(log()), async (got) => {
    say(log(), 'before');
    await have(got, 1);
    renameSync(log(), rotated());
    say(rotated(), 'after the rename');
    writeFileSync(log(), `${line('new file')}\n`);
    await have(got, 3);
    say(rotated(), 'late');
    await have(got, 4);
  });
  expect(lines).toEqual(['before', 'after the rename', 'new file', 'late'].map((text) => line(text)));
});

test('what came between the reading and the following, when it was rotated in that moment', async () => {
  const from = end(log());
  say(log(), 'missed');
  renameSync(log(), rotated());
  writeFileSync(log(), `${line('new file')}\n`);
  const lines = await follow(from, (got) => have(got, 2));
  expect(lines).toEqual([line('missed'), line('new file')]);
});

test('a file that is emptied in place, and one that is not there yet', async () => {
  const lines = await follow({ inode: 0, offset: 0 }, async (got) => {
    await have(got, 1);
    truncateSync(log());
    say(log(), 'x');
    await have(got, 2);
  });
  expect(lines).toEqual([line('old'), line('x')]);
});
