/**
 * The user-data as two versions of cloud-init see it: Debian 12's, and Debian 13's, which also refuses misspelt
 * top-level keys. The second one is taken from its package, unpacked and not installed.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

import { renderUserData } from '../../cloud-init/user-data';
import { retried } from '../support/retried';
import { sampleProps } from './support/sample';
import { inTemporaryFolder, type Outcome, run, testWith } from './support/tools';

const NEWER_SUITE = 'trixie';
const CACHE = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'botstack', 'tools');

function lint(userData: string, command: string, args: readonly string[], env?: NodeJS.ProcessEnv): Outcome {
  return inTemporaryFolder((folder) => {
    const file = join(folder, 'user-data.yaml');
    writeFileSync(file, userData);
    return run(command, [...args, 'schema', '--config-file', file], env);
  });
}

testWith('cloud-init', 'cloud-init', 'is valid for the installed cloud-init', () => {
  const { status, output } = lint(renderUserData(sampleProps()), 'cloud-init', []);
  expect([status, output]).toEqual([0, expect.stringContaining('Valid')]);
});

// Fetching takes seconds and the network, so it is left to CI; afterwards it is cached.
const folder = join(CACHE, `cloud-init-${NEWER_SUITE}`);
const available = existsSync(join(folder, 'usr')) || process.env['CI'] === 'true';
const testNewer = available ? testWith : skipNewer;

testNewer(
  'cloud-init',
  'cloud-init, for its libraries',
  `is valid for the cloud-init of ${NEWER_SUITE}`,
  () => {
    const newer = { PYTHONPATH: join(unpackNewer(), 'usr/lib/python3/dist-packages') };
    const module = ['-m', 'cloudinit.cmd.main'];
    const userData = renderUserData(sampleProps());
    expect(lint(userData, '/usr/bin/python3', module, newer)).toEqual({
      status: 0,
      output: expect.stringContaining('Valid'),
    });
    // And it would have said so if it were not.
    const misspelt = lint(userData.replace('\nruncmd:', '\nruncmds:'), '/usr/bin/python3', module, newer);
    expect([misspelt.status, misspelt.output]).toEqual([
      1,
      expect.stringContaining("'runcmds' was unexpected"),
    ]);
  },
);

function skipNewer(_tool: string, _package: string, name: string, body: () => void): void {
  test.skip(`${name} (skipped: CI=true fetches it)`, body);
}

/** From the mirror that this machine's own apt uses, with lists of its own, so that nothing is installed or changed. */
function unpackNewer(): string {
  if (existsSync(join(folder, 'usr'))) return folder;
  mkdirSync(folder, { recursive: true });
  const script = `
    set -eu
    rm -rf apt whole cloud-init_*.deb
    mkdir -p apt
    site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1)
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb [signed-by=$keyring] $site ${NEWER_SUITE} main" >apt/sources.list
    apt() {
      apt-get -qq -o Dir::State="$PWD/apt" -o Dir::Cache="$PWD/apt" -o Dir::Etc::SourceList="$PWD/apt/sources.list" \\
        -o Dir::Etc::SourceParts=/dev/null -o APT::Sandbox::User=root -o Acquire::Check-Valid-Until=false -o Acquire::Retries=3 "$@"
    }
    apt update
    apt download cloud-init
    dpkg-deb --extract cloud-init_*.deb whole
    rm -r apt cloud-init_*.deb
    mv whole/* .`;
  return retried(() => {
    const { status, output } = run('sh', ['-c', `cd '${folder}' && ${script}`], {}, 300_000);
    if (status !== 0) throw new Error(`could not fetch ${NEWER_SUITE}'s cloud-init: ${output}`);
    return folder;
  });
}
