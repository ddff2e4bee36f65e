/** The machine's checks: disk, clock, nginx, certificate. */
import { X509Certificate } from 'node:crypto';
import { readFile, statfs } from 'node:fs/promises';

import type { BotConfig } from '../config/schema.js';
import { counted } from '../errors/counted.js';
import { megabytes } from '../models/progress.js';
import { isThere } from './backup.js';
import type { Examined, Finding } from './finding.js';
import { lastLine, runCommand } from './run-command.js';

/** In bytes: below the first the service fails soon, below the second an upgrade has no room. */
const DISK_FAIL = 100e6;
const DISK_WARN = 1e9;
const DAY_MS = 24 * 3600 * 1000;
const CERTIFICATE_WARN_DAYS = 30;
/** A program that answers at once, or not at all. */
const QUICK_MS = 15_000;

export async function checkDisk(
  { layout }: Examined,
  config: BotConfig | undefined,
): Promise<readonly Finding[]> {
  const folders = [
    layout.releases,
    config?.logging.directory ?? layout.logs,
    config?.state_directory ?? layout.state,
  ];
  const seen = new Map<string, Finding>();
  for (const folder of folders) {
    if (!(await isThere(folder))) continue;
    const { bavail, bsize, blocks, files, ffree } = await statfs(folder);
    // Folders of one file system have one answer.
    const key = `${blocks}/${bavail}`;
    if (!seen.has(key)) seen.set(key, diskFinding(folder, bavail * bsize, files > 0 && ffree === 0));
  }
  return [...seen.values()];
}

function diskFinding(folder: string, free: number, noInodes: boolean): Finding {
  const check = 'disk';
  const text = `${megabytes(free)} free for ${folder}${noInodes ? ', and no inode' : ''}`;
  if (free >= DISK_WARN && !noInodes) return { check, verdict: 'ok', text };
  return {
    check,
    verdict: free < DISK_FAIL || noInodes ? 'fail' : 'warn',
    text,
    remedy:
      'remove what is not needed: old backups in /var/backups/bot, models in /opt/bot/models, journalctl --vacuum-size=100M',
  };
}

/** Tokens and requests to AWS are refused where the clock is wrong by more than minutes. */
export async function checkClock(): Promise<readonly Finding[]> {
  const check = 'clock';
  const properties = ['-p', 'NTPSynchronized', '--value'];
  const { status, output } = await runCommand(['timedatectl', 'show', ...properties], { limitMs: QUICK_MS });
  if (status !== 0)
    return [{ check, verdict: 'skip', text: 'no timedatectl here that says whether it is right' }];
  if (output.trim() === 'yes') return [{ check, verdict: 'ok', text: 'kept right by a time server' }];
  return [
    {
      check,
      verdict: 'warn',
      text: `${new Date().toISOString()}, and no time server keeps it right: tokens and AWS depend on it`,
      remedy: 'sudo timedatectl set-ntp true; on EC2 the time server is 169.254.169.123',
    },
  ];
}

export async function checkNginx({ layout }: Examined): Promise<readonly Finding[]> {
  const check = 'nginx';
  if (!(await isThere(layout.nginx)))
    return [{ check, verdict: 'skip', text: `not set up here (${layout.nginx})` }];
  if (process.getuid?.() !== 0)
    return [{ check, verdict: 'skip', text: 'only root may test its configuration' }];
  const test = await runCommand(['nginx', '-t'], { limitMs: QUICK_MS });
  if (test.status !== 0) {
    const text = test.output.split('\n').find((line) => line.includes('[emerg]')) ?? lastLine(test.output);
    return [
      {
        check,
        verdict: 'fail',
        text,
        remedy: 'correct that line, then: sudo nginx -t && sudo systemctl restart nginx',
      },
    ];
  }
  const active = await runCommand(['systemctl', 'is-active', 'nginx.service'], { limitMs: QUICK_MS });
  if (active.output.trim() === 'active')
    return [{ check, verdict: 'ok', text: 'active, its configuration is valid' }];
  return [
    {
      check,
      verdict: 'fail',
      text: `its configuration is valid, but it is ${lastLine(active.output) || 'not running'}`,
      remedy: 'sudo systemctl restart nginx; why it ended: sudo journalctl -u nginx',
    },
  ];
}

export async function checkCertificate({ layout }: Examined): Promise<readonly Finding[]> {
  const check = 'certificate';
  let pem: Buffer;
  try {
    pem = await readFile(layout.certificate);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES') return [{ check, verdict: 'skip', text: 'only root may read it' }];
    // Without nginx there is no TLS here.
    const text = `there is none at ${layout.certificate}`;
    if (!(await isThere(layout.nginx))) return [{ check, verdict: 'skip', text }];
    return [{ check, verdict: 'fail', text, remedy: 'sudo /usr/local/lib/bot/bootstrap.sh makes one' }];
  }
  return [certificateFinding(pem, layout.certificate)];
}

function certificateFinding(pem: Buffer, file: string): Finding {
  const check = 'certificate';
  const remedy = `renew it: sudo /usr/local/lib/bot/bootstrap.sh, then give clients the new ${file}`;
  try {
    const { validFrom, validTo } = new X509Certificate(pem);
    const days = Math.floor((Date.parse(validTo) - Date.now()) / DAY_MS);
    const end = new Date(validTo).toISOString().slice(0, 10);
    if (days < 0) return { check, verdict: 'fail', text: `it ended on ${end}`, remedy };
    if (Date.parse(validFrom) > Date.now()) {
      const begin = new Date(validFrom).toISOString();
      return { check, verdict: 'fail', text: `it begins at ${begin} only`, remedy: 'set the clock right' };
    }
    const text = `valid until ${end}, ${counted(days, 'day')}`;
    return days < CERTIFICATE_WARN_DAYS
      ? { check, verdict: 'warn', text, remedy }
      : { check, verdict: 'ok', text };
  } catch {
    return { check, verdict: 'fail', text: `${file} is no certificate`, remedy };
  }
}
