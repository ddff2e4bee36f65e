/** Parts of the machine's scripts, run here as they are rendered, without the rest of a machine. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { temporaryFolder } from '../support/temporary-folder';
import { renderedFile } from './support/sample';
import { run, testWith } from './support/tools';

const folder = temporaryFolder();

/** One function of bootstrap.sh. */
function part(name: string): string {
  const text = new RegExp(`^${name}\\(\\) (\\{.*\\}$|\\{\\n[^]*?^\\})`, 'm').exec(
    renderedFile('bootstrap.sh'),
  )?.[0];
  if (text === undefined) throw new Error(`bootstrap.sh has no function ${name}`);
  return text;
}

function bash(script: string, env: NodeJS.ProcessEnv = {}) {
  return run('bash', ['-c', script], env);
}

/** A program that writes down how it was called. */
function recorder(name: string, exitStatus = 0): void {
  const bin = join(folder(), 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(
    join(bin, name),
    `#!/bin/sh\necho "${name} $*" >>"${join(folder(), 'calls')}"\nexit ${exitStatus}\n`,
    { mode: 0o755 },
  );
}

const calls = () => run('cat', [join(folder(), 'calls')]).output;

describe('the agent for shell sessions', () => {
  const environment = () => ({
    PATH: `${join(folder(), 'bin')}:${process.env['PATH']}`,
    RUNTIME_DIRECTORY: folder(),
    REGION: 'cn-north-1',
  });
  const install = (env: NodeJS.ProcessEnv = {}) =>
    bash(renderedFile('session-agent.sh'), { AWS_ENDPOINT_URL: '', ...environment(), ...env });

  test('is put to work after a failure in any step, once the failure is reported', () => {
    recorder('systemctl');
    const said =
      'say() { :; }; name_the_cause() { :; }; report() { echo "report" >>"$CALLS"; }; STATUS=running STEP=packages';
    const script = [said, part('start_session_agent'), part('finish'), 'MESSAGE=cause; finish 1'].join('\n');
    expect(bash(script, { ...environment(), CALLS: join(folder(), 'calls') }).status).toBe(1);
    expect(calls()).toBe('report\nsystemctl start --no-block bot-session-agent.service\n');
  });

  test('is put to work as soon as apt is free, and holds up nothing that comes after', () => {
    expect(renderedFile('bootstrap.sh')).toMatch(
      /^ {2}step "\$name"\n {2}\[ "\$name" != packages \] \|\| start_session_agent$/m,
    );
    recorder('systemctl', 1);
    const script = `set -e; say() { :; }; ${part('start_session_agent')}\nstart_session_agent; echo on`;
    expect(bash(script, environment())).toEqual({ status: 0, output: 'on\n' });
  });

  test('is fetched for region and processor, and installed once the lock of dpkg is free', () => {
    recorder('systemctl', 1);
    for (const name of ['dpkg', 'python3', 'apt-get']) recorder(name);
    // The last call, to start it, is the only one here that may fail.
    expect(install().status).toBe(1);
    expect(calls()).toMatch(
      /python3 .* https:\/\/amazon-ssm-cn-north-1\.s3\.cn-north-1\.amazonaws\.com\.cn\/latest\/debian_\S*\/amazon-ssm-agent\.deb \S+\/agent\.deb$/m,
    );
    expect(calls()).toMatch(/^apt-get -qy -o DPkg::Lock::Timeout=60 install \S+\/agent\.deb$/m);
  });

  test.each(['python3', 'apt-get'])('fails when %s does, so that its unit tries again', (failing) => {
    recorder('systemctl', 1);
    for (const name of ['dpkg', 'python3', 'apt-get']) recorder(name, name === failing ? 1 : 0);
    expect(install().status).toBe(1);
    expect(calls()).not.toContain('systemctl enable');
    expect(renderedFile('bot-session-agent.service')).toMatch(/^Restart=on-failure$/m);
  });

  test('is left alone where it is, and where AWS is not the real one', () => {
    for (const name of ['dpkg', 'python3', 'apt-get', 'systemctl']) recorder(name);
    expect(install().status).toBe(0);
    expect(calls()).toBe('systemctl is-enabled --quiet amazon-ssm-agent.service\n');
    recorder('systemctl', 1);
    expect(install({ AWS_ENDPOINT_URL: 'http://127.0.0.1:1' }).status).toBe(0);
    expect(calls()).not.toMatch(/python3|apt-get/);
  });
});

describe('the cause of a failure', () => {
  /** @param errors what the downloads have said */
  const named = (message: string, errors = '', free = '1000*4096') => {
    writeFileSync(join(folder(), 'bundle.error'), errors);
    const script = [
      `stat() { echo "${free}"; }; STATE=${folder()} MESSAGE=$1`,
      part('disk_is_full'),
      part('name_the_cause'),
      'name_the_cause; echo "$MESSAGE"',
    ].join('\n');
    return run('bash', ['-c', script, 'bash', message]).output.trim();
  };

  test('is what was said, when nothing else is known', () => {
    expect(named('a cause; a remedy')).toBe('a cause; a remedy');
  });

  test('is the full disk, in the words of tar, of apt, or of nobody', () => {
    const full = /^the disk is full \(\S+[MGT]\): .*; raise diskGiB and run cdktf deploy, then reboot/;
    expect(named('tar: bin/node: Cannot write: No space left on device; x')).toMatch(full);
    expect(named('tar: bin/node: Wrote only 2560 of 10240 bytes')).toMatch(full);
    expect(named("apt could not install: E: You don't have enough free space in /var; check that")).toMatch(
      full,
    );
    expect(named('line 7: "install x" exited with 1; read the log', '', '255*4096')).toMatch(full);
  });

  /** The step of the packages, on a machine where apt says this at each of its tries before it fails. */
  const failingPackages = (says: string, free: string, had = '', seconds = 0) => {
    writeFileSync(join(folder(), 'bundle.error'), '');
    writeFileSync(join(folder(), 'log'), had);
    writeFileSync(join(folder(), 'says'), says);
    const script = [
      `set -Eeuo pipefail; PACKAGES=nginx PACKAGE_MANAGER=apt LOG=${join(folder(), 'log')} STATE=${folder()} MESSAGE=`,
      `stat() { [ "$1" = -fc ] && echo "${free}" || command stat "$@"; }; apt_has() { false; }; apt_install() { cat "$STATE/says" >>"$LOG"; SECONDS=$((SECONDS + ${seconds})); false; }`,
      'report_in_background() { echo "$MESSAGE"; }; sleep() { SECONDS=$((SECONDS + 30)); }',
      'fail() { set +e; MESSAGE=$1; name_the_cause; echo "$MESSAGE"; exit 1; }',
      part('disk_is_full'),
      part('name_the_cause'),
      part('package_error'),
      part('step_packages').replaceAll('/usr/sbin/policy-rc.d', join(folder(), 'policy-rc.d')),
      'step_packages',
    ].join('\n');
    const { status, output } = bash(script);
    expect(status).toBe(1);
    return output.trim().split('\n');
  };

  test('is the full disk at once, also when apt speaks of its lists', () => {
    const words = 'E: The package lists or status file could not be parsed or opened.\n';
    expect(failingPackages(words, '255*4096')).toEqual([
      expect.stringMatching(/^the disk is full \(\S+\): apt could not install nginx: E: The package lists /),
    ]);
  });

  test('is the full disk in the words of dpkg, which makes room again before apt says that it has failed', () => {
    const words =
      "dpkg: cannot copy './a': failed to write (No space left on device)\nE: Sub-process failed\n";
    expect(failingPackages(words, '1000*4096')).toEqual([
      expect.stringMatching(/^the disk is full \(\S+\): apt could not install nginx: dpkg: cannot copy /),
    ]);
    // Once only: what an earlier try has said is over.
    const [first] = failingPackages('E: Unable to connect\n', '1000*4096', words);
    expect(first).toBe('apt could not install nginx: E: Unable to connect, trying again');
  });

  test('is the full disk, too, when a download beside apt has said so, and made room again', () => {
    const words = 'tar: bin/node: Cannot write: No space left on device\ntar: Exiting with failure\n';
    expect(named('apt could not install: E: The package lists', words)).toMatch(/^the disk is full /);
  });

  test('is not known when apt is ended at its time limit: it tries again all the same, and says so', () => {
    const lines = failingPackages('Get:1 something\n', '1000*4096');
    expect(lines[0]).toMatch(/^apt could not install nginx: it .*time limit.*, trying again$/);
    expect(lines.length).toBeGreaterThan(2);
    expect(lines.at(-1)).toMatch(/^apt could not install nginx: it .*; check that the subnet reaches/);
  });

  test('is not called final after one try, however long it took', () => {
    const lines = failingPackages('Get:1 something\n', '1000*4096', '', 200);
    expect(lines).toEqual([
      expect.stringMatching(/, trying again$/),
      expect.stringMatching(/check that the subnet reaches/),
    ]);
  });

  test('is the clock, whatever failed by it', () => {
    const clock = "get b failed: HTTP Error 403; this machine's clock is 200 minutes behind S3's: see that";
    expect(named('apt could not install: E: Release file is not valid yet; check', `${clock}\n`)).toBe(clock);
  });
});

describe('what a run that was cut off, or a restored disk, has left', () => {
  test.each([
    [0, ''],
    [1, 'apt-get -q\napt-get -qy\n'],
  ])('packages that were unpacked are set up; is any missing (%i), the mirror is asked', (missing, asked) => {
    const script = `set -e; dpkg() { :; }; apt_has() { return ${missing}; }; timeout() { echo "$2 $3"; }
      ${part('apt_install')}\napt_install nginx`;
    expect(bash(script)).toEqual({ status: 0, output: asked });
  });

  test('packages may start their services again', () => {
    const left = join(folder(), 'policy-rc.d');
    writeFileSync(left, '');
    const script = `set -e; PACKAGES=x PACKAGE_MANAGER=apt; apt_has() { :; }\n${part('step_packages').replaceAll('/usr/sbin/policy-rc.d', left)}\nstep_packages`;
    expect(bash(script)).toEqual({ status: 0, output: '' });
    expect(existsSync(left)).toBe(false);
  });

  test.each([
    ['installed installed ', '', 0],
    ['installed half-installed ', '', 1],
    ['installed unpacked ', '', 1],
    ['installed ', '', 1],
    ['installed installed ', 'libgd3 is not configured', 1],
  ])('packages are there when dpkg says "%s" and finds "%s" wrong: status %i', (states, audit, status) => {
    const script = `dpkg() { echo -n "${audit}"; }; dpkg-query() { echo -n "${states}"; }\n${part('apt_has')}\napt_has nginx curl`;
    expect(bash(script).status).toBe(status);
  });

  test('units of a deployment that had more in it are put out of work', () => {
    recorder('systemctl');
    const script = `set -e; ${part('retire')}\nretire bot-monitoring-agent.service`;
    const environment = { PATH: `${join(folder(), 'bin')}:${process.env['PATH']}` };
    expect(bash(script, environment)).toEqual({ status: 0, output: '' });
    expect(calls()).toMatch(/^systemctl disable --quiet --now bot-monitoring-agent\.service$/m);
    const asked = (changes: object) => /^MONITORED=(.*)$/m.exec(renderedFile('bootstrap.env', changes))?.[1];
    expect([asked({}), asked({ monitoring: undefined })]).toEqual(['yes', '']);
  });
});

describe('the certificate', () => {
  const make = () => {
    const script = [
      'set -e; changed() { :; }; LIB=/nonexistent PUBLIC_ADDRESS=192.0.2.1 DOMAIN=',
      ...['sign_itself', 'step_tls'].map((name) => part(name).replaceAll('/etc/bot/tls', folder())),
      'step_tls; echo "$FINGERPRINT"',
    ].join('\n');
    return bash(script);
  };

  testWith('openssl', 'openssl', 'is for this server alone: it can sign no other', () => {
    expect(make().status).toBe(0);
    const { output } = run('openssl', ['x509', '-in', join(folder(), 'cert.pem'), '-noout', '-text']);
    expect(output.match(/CA:(?:TRUE|FALSE)/g)).toEqual(['CA:FALSE']);
    expect(output).toMatch(/X509v3 Basic Constraints: critical\n/);
    expect(output).toContain('IP Address:192.0.2.1');
  });

  test('is accepted by Node and by curl as the one to trust', async () => {
    make();
    const [key, cert] = ['key.pem', 'cert.pem'].map((name) => readFileSync(join(folder(), name)));
    const server = createServer({ key: key!, cert: cert! }, (_request, response) => response.end('hello'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `https://localhost:${(server.address() as AddressInfo).port}/`;
    try {
      const status = new Promise((resolve, reject) => {
        request(url, { ca: cert!, agent: false }, (response) => resolve(response.resume().statusCode))
          .on('error', reject)
          .end();
      });
      expect(await status).toBe(200);
      const args = ['-sS', '--max-time', '10', '--noproxy', '*', '--cacert', join(folder(), 'cert.pem'), url];
      expect((await promisify(execFile)('curl', args)).stdout).toBe('hello');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
