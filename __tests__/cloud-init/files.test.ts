/** Each rendered file, read by the program that will read it on the machine. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { API_ERRORS, type ErrorCode } from '../../runtime/src/errors/catalog';
import { renderedFile, sampleProps } from './support/sample';
import { inTemporaryFolder, run, testWith } from './support/tools';

/** As they stand in the repository: with the comments that direct a linter. */
const SOURCES = join(__dirname, '../../cloud-init/files');

/** Writes rendered files into a folder for the time of the call. */
function withFiles<T>(names: readonly string[], body: (folder: string) => T): T {
  return inTemporaryFolder((folder) => {
    for (const name of names) writeFileSync(join(folder, name), renderedFile(name));
    return body(folder);
  });
}

describe('bootstrap.sh', () => {
  testWith('shellcheck', 'shellcheck', 'and the scripts beside it are clean for shellcheck', () => {
    const scripts = ['bootstrap.sh', 'session-agent.sh', 'monitoring-agent.sh', 'certificate.sh'].map(
      (name) => join(SOURCES, name),
    );
    expect(run('shellcheck', scripts)).toEqual({ status: 0, output: '' });
  });

  test('has the trap before anything that can fail', () => {
    const [shebang, options, trap] = renderedFile('bootstrap.sh').split('\n');
    expect([shebang, options, trap]).toEqual(['#!/bin/bash', 'set -Eeuo pipefail', "trap 'finish $?' EXIT"]);
  });

  test('defines each step, in the order that the report promises', () => {
    const text = renderedFile('bootstrap.sh');
    const steps = /^for name in (.*); do$/m.exec(text)?.[1]?.split(' ') ?? [];
    expect(steps).toEqual(['packages', 'user', 'bundle', 'model', 'configure', 'tls', 'services', 'ready']);
    for (const step of steps) expect(text).toMatch(new RegExp(`^step_${step}\\(\\) \\{`, 'm'));
  });
});

describe('nginx.conf', () => {
  const withConsole = {
    ...sampleProps(),
    consolePort: 8080,
    config: {
      ...sampleProps().config,
      network: { external_port: 18789, internal_port: 8000, console_port: 8081, console_proxied: true },
    },
  };

  testWith(
    'nginx',
    'nginx-light',
    'is accepted by nginx, with the console and without, with a domain and without',
    () => {
      for (const props of [
        {},
        withConsole,
        { ...withConsole, ipv6: true },
        { certificate: undefined, externalPort: undefined, ipv6: true },
      ])
        inTemporaryFolder((folder) => {
          const key = join(folder, 'key.pem');
          const cert = join(folder, 'cert.pem');
          const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'];
          run('openssl', ['req', '-x509', ...curve, '-subj', '/CN=test', '-keyout', key, '-out', cert]);
          // Ports and paths of the machine that runs the test are left alone: nginx -t binds what it is told to listen on.
          let sockets = 0;
          const site = renderedFile('nginx.conf', props)
            .replaceAll('/etc/bot/tls', folder)
            .replaceAll('/var/log/nginx', folder)
            .replace(/listen (\[::\]:)?\d+/g, () => `listen unix:${folder}/${sockets++}`);
          writeFileSync(join(folder, 'site.conf'), site);
          writeFileSync(
            join(folder, 'nginx.conf'),
            `pid ${folder}/pid; error_log stderr; events {} http { include ${folder}/site.conf; }`,
          );
          const { status, output } = run('nginx', [
            '-t',
            '-e',
            'stderr',
            '-p',
            folder,
            '-c',
            join(folder, 'nginx.conf'),
          ]);
          expect([status, output]).toEqual([0, expect.stringContaining('test is successful')]);
        });
    },
  );

  test('opens the console only where it is asked for, to its port on loopback', () => {
    expect(renderedFile('nginx.conf')).not.toMatch(/8080/);
    const site = renderedFile('nginx.conf', withConsole);
    expect(site).toMatch(/listen 8080 ssl/);
    expect(site).toMatch(/proxy_pass http:\/\/127\.0\.0\.1:8081;/);
    expect(renderedFile('nftables.conf', withConsole)).toContain('tcp dport { 443, 18789, 8080 } accept');
  });

  test('asks browsers to insist on TLS where it has a domain, and nowhere else', () => {
    const header = /add_header Strict-Transport-Security \$strict_transport always;/g;
    // In the server, and again in each place that adds a header of its own, which ends what it would inherit.
    expect(renderedFile('nginx.conf').match(header)).toHaveLength(3);
    expect(renderedFile('nginx.conf', { certificate: undefined })).not.toMatch(header);
  });

  test('has no port without TLS where none is wanted, nor has the firewall', () => {
    const closed = { externalPort: undefined };
    expect(renderedFile('nginx.conf', closed).match(/listen .*/g)).toEqual([
      'listen 443 ssl http2 default_server;',
    ]);
    expect(renderedFile('nftables.conf', closed)).toContain('tcp dport { 443 } accept');
    expect(renderedFile('bootstrap.env', closed)).toContain('\nEXTERNAL_PORT=\n');
  });

  test('answers its own errors as JSON in the shape of the API', () => {
    const bodies = [...renderedFile('nginx.conf').matchAll(/return (\d+) '(.*)';/g)];
    expect(bodies.map(([, status]) => status)).toEqual(['400', '413', '429', '503']);
    for (const [, status, body] of bodies) {
      const { error } = JSON.parse(body!) as { error: { code: ErrorCode; type: string } };
      expect(error).toEqual({
        message: expect.any(String),
        type: expect.any(String),
        param: null,
        code: expect.any(String),
      });
      // docs/errors.md is made of the catalog.
      expect(API_ERRORS[error.code]).toMatchObject({ status: Number(status), type: error.type });
    }
  });
});

describe('nftables.conf', () => {
  testWith('nft', 'nftables', 'is accepted by nft, with every way out and with few', () => {
    const waysOut = [
      { name: 'https', protocol: 'tcp', port: 443 },
      { name: 'dns', protocol: 'udp', port: 53, to: '10.20.0.0/24' },
    ] as const;
    for (const props of [{}, { waysOut }])
      inTemporaryFolder((folder) => {
        writeFileSync(join(folder, 'nftables.conf'), renderedFile('nftables.conf', props));
        // In a network namespace of its own, so that it needs no rights over this machine's firewall.
        const nft = ['nft', '--check', '--file', join(folder, 'nftables.conf')];
        expect(run('unshare', ['--map-root-user', '--net', ...nft])).toEqual({ status: 0, output: '' });
      });
  });

  test('drops what it does not name, and names two ports', () => {
    const text = renderedFile('nftables.conf');
    expect(text).toContain('hook input priority filter; policy drop;');
    expect(text.match(/tcp dport .*/g)).toEqual(['tcp dport { 443, 18789 } accept']);
  });
});

describe('bot.service', () => {
  testWith('systemd-analyze', 'systemd', 'and the units beside it are accepted by systemd', () => {
    const names = [
      'bot.service',
      ...['bootstrap.service', 'session-agent.service', 'monitoring-agent.service'].map(
        (unit) => `bot-${unit}`,
      ),
      ...['bot-certificate.service', 'bot-certificate.timer'],
    ];
    withFiles(names, (folder) => {
      // The programs that the units start, as they will lie on the machine.
      const scripts = ['bootstrap.sh', 'session-agent.sh', 'monitoring-agent.sh', 'certificate.sh'].map(
        (name) => `usr/local/lib/bot/${name}`,
      );
      for (const program of ['opt/bot/bin/bot', ...scripts]) {
        const path = join(folder, 'root', program);
        mkdirSync(join(path, '..'), { recursive: true });
        writeFileSync(path, '#!/bin/sh\n');
        chmodSync(path, 0o755);
      }
      const units = names.map((name) => {
        const unit = renderedFile(name).replace(/^Exec(Start|Reload)=/gm, `Exec$1=${folder}/root`);
        writeFileSync(join(folder, name), unit);
        return join(folder, name);
      });
      expect(run('systemd-analyze', ['verify', '--man=no', ...units])).toEqual({ status: 0, output: '' });
    });
  });

  testWith('systemd-analyze', 'systemd', 'leaves little exposed', () => {
    withFiles(['bot.service'], (folder) => {
      const unit = join(folder, 'bot.service');
      // 2.0 of 10: what V8 (code made at run time) and a network service need is most of what is left.
      const { status, output } = run('systemd-analyze', [
        'security',
        '--offline=yes',
        '--threshold=20',
        unit,
      ]);
      expect([status, output.split('\n').at(-2)]).toEqual([0, expect.stringContaining('OK')]);
    });
  });

  test('does not start again on a configuration error, and waits for the drain', () => {
    const text = renderedFile('bot.service');
    expect(text).toContain('RestartPreventExitStatus=78');
    expect(text).toContain('TimeoutStopSec=35');
  });
});

describe('logrotate.conf', () => {
  testWith('logrotate', 'logrotate', 'is accepted by logrotate', () => {
    withFiles(['logrotate.conf'], (folder) => {
      // Whoever runs the test stands in for the user bot.
      const text = renderedFile('logrotate.conf')
        .replace(/su bot bot\n/, '')
        .replace('/var/log/bot', folder);
      writeFileSync(join(folder, 'logrotate.conf'), text);
      writeFileSync(join(folder, 'bot.log'), 'a line\n');
      chmodSync(join(folder, 'logrotate.conf'), 0o644);
      const { status, output } = run('logrotate', ['--debug', join(folder, 'logrotate.conf')]);
      expect([status, output]).toEqual([0, expect.stringContaining('(7 rotations)')]);
      expect(output).not.toMatch(/^error:/m);
    });
  });
});

describe('aws.py', () => {
  test('runs on the oldest Python of the supported systems', () => {
    // 3.10, Ubuntu 22.04: the grammar is checked by the compiler of whatever version is here.
    const check = 'import ast, sys; ast.parse(sys.stdin.read(), feature_version=(3, 10))';
    withFiles(['aws.py'], (folder) => {
      const { status, output } = run('sh', ['-c', `python3 -c "${check}" < ${join(folder, 'aws.py')}`]);
      expect([status, output]).toEqual([0, '']);
    });
  });
});

describe('cloudwatch-agent.json', () => {
  interface AgentConfig {
    readonly metrics: { readonly namespace: string; readonly metrics_collected: Record<string, object> };
    readonly logs: {
      readonly logs_collected: Record<
        string,
        { readonly collect_list: { readonly log_group_name: string }[] }
      >;
    };
  }
  const config = JSON.parse(renderedFile('cloudwatch-agent.json')) as AgentConfig;

  test('ships what the service, nginx, the bootstrap and the journal say to groups of the deployment', () => {
    const groups = Object.values(config.logs.logs_collected).flatMap(({ collect_list: list }) =>
      list.map(({ log_group_name: group }) => group),
    );
    expect(new Set(groups)).toEqual(
      new Set(['service', 'metrics', 'access', 'system'].map((group) => `/botstack/bot/${group}`)),
    );
  });

  test('pays for each figure once: only the one without path, device and host is published', () => {
    for (const measured of Object.values(config.metrics.metrics_collected)) {
      const { measurement, drop_original_metrics: dropped } = measured as Record<string, string[]>;
      expect(dropped).toEqual(measurement);
    }
  });

  test('is left out, with its unit, where nothing is watched', () => {
    expect(() => renderedFile('cloudwatch-agent.json', { monitoring: undefined })).toThrow(/gets no file/);
    expect(() => renderedFile('bot-monitoring-agent.service', { monitoring: undefined })).toThrow(
      /gets no file/,
    );
  });
});
