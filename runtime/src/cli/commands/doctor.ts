/** `bot doctor`: finds what is wrong with the service and its machine, and says what to do. */
import type { Command } from 'commander';

import type { Finding, Verdict } from '../../operations/finding.js';
import { EXIT } from '../exit-codes.js';
import { CONFIG_FLAG, installedAt, ROOT_FLAG } from './operation-options.js';

export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description('find what is wrong and say what to do; exit code 1 when a check fails. Changes nothing')
    .option(...CONFIG_FLAG)
    .option(...ROOT_FLAG)
    .option('--json', 'one JSON array of {check, verdict, text, remedy}')
    .addHelpText(
      'after',
      '\nVerdicts: ok; warn (works, will not for ever); fail; skip (does not apply, or only root may see it).' +
        '\n\nExamples:\n  sudo bot doctor\n  sudo bot doctor --json | jq \'.[] | select(.verdict == "fail")\'',
    )
    .action(doctor);
}

const MARKS: Record<Verdict, string> = { ok: 'ok  ', warn: 'WARN', fail: 'FAIL', skip: '-   ' };

async function doctor(options: { config?: string; root?: string; json?: true }): Promise<void> {
  const { examine } = await import('../../operations/doctor.js');
  const findings: Finding[] = [];
  await examine(await installedAt(options), (finding) => {
    findings.push(finding);
    if (options.json !== true) process.stdout.write(lineOf(finding));
  });
  if (options.json === true) process.stdout.write(`${JSON.stringify(findings, null, 2)}\n`);
  if (findings.some(({ verdict }) => verdict === 'fail')) process.exitCode = EXIT.FAILURE;
}

function lineOf({ check, verdict, text, remedy }: Finding): string {
  const line = `${MARKS[verdict]} ${check.padEnd(14)} ${text}\n`;
  return remedy === undefined ? line : `${line}     ${''.padEnd(14)} -> ${remedy}\n`;
}
