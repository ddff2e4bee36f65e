/** What `bot up` shows of the service's log, with a program in the service's place. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { noteworthy } from '../../../runtime/src/cli/up/noteworthy';
import { ServiceProcess } from '../../../runtime/src/cli/up/service-process';
import { temporaryFolder } from '../../support/temporary-folder';

const folder = temporaryFolder();

/** `lines` at the start, and then each that is sent to it. */
function service(lines: readonly string[]): ServiceProcess {
  const bot = join(folder(), 'bot.mjs');
  const lifeline = join(folder(), 'lifeline.mjs');
  writeFileSync(lifeline, '');
  writeFileSync(bot, `for (const line of ${JSON.stringify(lines)}) console.log(line);`);
  return new ServiceProcess({
    bot,
    lifeline,
    configFile: 'none',
    folder: folder(),
    apiKey: 'k'.repeat(64),
    port: 1,
  });
}

it('shows what is of interest to security, warnings and errors, also from before somebody was shown anything', async () => {
  const process = service([
    '[2026-11-29 08:00:01] [INF] bot starts',
    '[2026-11-29 08:00:02] [SEC] access policy e3b0 is in force',
    '[2026-11-29 08:00:03] [WRN] no folder',
    'a line of another form',
    '[2026-11-29 08:00:04] [ERR] an answer failed',
  ]);
  const shown: string[] = [];
  await process.ended;
  process.showNoteworthyLines((line) => shown.push(line));
  expect(shown.map((line) => line.replace(/^[\d: -]+ {2}/, ''))).toEqual([
    'security  access policy e3b0 is in force',
    'warning   no folder',
    'error     an answer failed',
  ]);
});

it('says when in the time of the place', () => {
  const summer = new Date(2026, 6, 1, 9, 5, 7);
  const stamp = summer.toISOString().slice(0, 19).replace('T', ' ');
  expect(noteworthy(`[${stamp}] [SEC] [SEC] is not shown twice`)).toBe(
    '2026-07-01 09:05:07  security  [SEC] is not shown twice',
  );
  expect(noteworthy(`[${stamp}] [INF] [SEC] somebody's words`)).toBeUndefined();
});
