/** The rules that security teams run over Terraform, by the program they run: https://www.checkov.io */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

import { temporaryFolder } from '../../support/temporary-folder';
import { ROOT } from '../../../stacks/version';
import { synthesise } from '../synthesised';
import { TOPOLOGIES } from '../topologies';

const VERSION = '3.3.30';
const CACHE = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
/** Where .ci/run puts it, in a virtual environment of its own: it pins 60 packages. */
const VENV = join(CACHE, 'botstack', 'tools', `checkov-${VERSION}`);
const PROGRAM = join(VENV, 'bin', 'checkov');

const folder = temporaryFolder();

interface Result {
  readonly results: {
    readonly failed_checks: readonly { check_id: string; check_name: string; resource: string }[];
  };
  readonly summary: { readonly passed: number; readonly parsing_errors: number };
}

const installed = existsSync(PROGRAM);
const title = installed
  ? 'checkov'
  : `checkov (skipped: python3 -m venv ${VENV} && ${VENV}/bin/pip install checkov==${VERSION})`;

(installed ? describe : describe.skip)(title, () => {
  it('finds nothing in any topology but what .checkov.yaml gives a reason for', () => {
    for (const [name, props] of Object.entries(TOPOLOGIES)) {
      // Without the `terraform` block: checkov's parser stumbles over the text in it, required_version.
      const document = { ...synthesise(props).document, terraform: undefined };
      writeFileSync(
        join(folder(), `${name.replaceAll(' ', '-')}.tf.json`),
        JSON.stringify(document, null, 2),
      );
    }
    const config = join(ROOT, '.checkov.yaml');
    const { stdout, stderr } = spawnSync(
      PROGRAM,
      ['--config-file', config, '-d', folder(), '-o', 'json', '--quiet', '--compact', '--skip-download'],
      { encoding: 'utf8', env: { ...process.env, LOG_LEVEL: 'ERROR' } },
    );
    const { results, summary } = parsed(stdout, stderr);
    const found = results.failed_checks.map(
      (each) => `${each.check_id} ${each.check_name}: ${each.resource}`,
    );
    expect({ found, unread: summary.parsing_errors }).toEqual({ found: [], unread: 0 });
    // Had it read nothing, it would have found nothing either.
    expect(summary.passed).toBeGreaterThan(40 * Object.keys(TOPOLOGIES).length);
  });
});

function parsed(stdout: string, stderr: string): Result {
  try {
    return JSON.parse(stdout) as Result;
  } catch {
    throw new Error(`checkov said:\n${stdout}\n${stderr}`);
  }
}
