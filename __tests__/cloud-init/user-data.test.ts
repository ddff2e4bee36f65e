import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { load } from 'js-yaml';

import { renderUserData, USER_DATA_LIMIT_BYTES } from '../../cloud-init/user-data';
import type { UserDataProps } from '../../cloud-init/user-data-props';
import { configSchema } from '../../runtime/src/config/schema';
import { allFiles, type CloudConfig, renderedFile, sampleProps } from './support/sample';

const FILES = join(__dirname, '../../cloud-init/files');

describe('renderUserData', () => {
  const text = renderUserData(sampleProps());
  const files = allFiles();

  test('fits what EC2 takes, with room to spare, at its largest', () => {
    const network = { external_port: 18789, internal_port: 8000, console_port: 8081, console_proxied: true };
    const largest = sampleProps({ consolePort: 8080, config: { ...sampleProps().config, network } });
    expect(Buffer.byteLength(renderUserData(largest))).toBeLessThan(USER_DATA_LIMIT_BYTES - 1500);
  });

  test('says so when the configuration makes it too large', () => {
    const config = { ...sampleProps().config, service: { name: 'x'.repeat(8000) } };
    expect(() => renderUserData(sampleProps({ config }))).toThrow(
      /user-data should be at most 16384 bytes, got \d+: shorten config/,
    );
  });

  test('gives the same text for the same props', () => {
    expect(renderUserData(sampleProps())).toBe(text);
  });

  test('gives the machine every file of the room and starts the bootstrap', () => {
    expect(text.startsWith('#cloud-config\n')).toBe(true);
    const generated = ['bootstrap.env', 'config.yaml'];
    // Parts of nginx.conf and nftables.conf, where they are asked for.
    const parts = ['nginx-console.conf', 'nftables-output.conf'];
    const own = readdirSync(FILES).filter((name) => !parts.includes(name));
    expect([...files.keys()].sort()).toEqual([...own, ...generated].sort());
    expect((load(text) as CloudConfig).runcmd).toEqual([
      ['systemctl', 'enable', '--now', 'bot-bootstrap.service'],
    ]);
  });

  test('leaves no placeholder unfilled', () => {
    for (const [name, content] of files) expect([name, content.match(/@[A-Z_]+@/)]).toEqual([name, null]);
  });

  test('fills in ports, memory and the time that the longest request may take', () => {
    const nginx = renderedFile('nginx.conf', { externalPort: 19000, config: withPorts(19000) });
    expect(nginx).toContain('listen 19000 default_server;');
    expect(nginx).toContain('server 127.0.0.1:8000;');
    expect(nginx).toContain('proxy_read_timeout 330s;');
    expect(renderedFile('nftables.conf', { externalPort: 19000, config: withPorts(19000) })).toContain(
      'tcp dport { 443, 19000 } accept',
    );
    expect(renderedFile('bot.service')).toContain('MemoryMax=3200M');
  });

  test('changes nothing of a file but its comments and empty lines', () => {
    const kept = (content: string) =>
      content.split('\n').filter((line) => line.trim() !== '' && !/^\s*#(?!!)/.test(line));
    for (const name of [
      'bootstrap.sh',
      'aws.py',
      'session-agent.sh',
      'bot-bootstrap.service',
      'logrotate.conf',
    ]) {
      expect(kept(renderedFile(name))).toEqual(kept(readFileSync(join(FILES, name), 'utf8')));
    }
  });

  test('writes a configuration that the runtime accepts', () => {
    expect(configSchema.safeParse(load(renderedFile('config.yaml'))).error).toBeUndefined();
  });

  test('keeps the placeholders of the stack in plain sight', () => {
    const bucket = 'bucket'.padEnd(63, '-');
    const config = { ...sampleProps().config, security: { api_key_secret_id: 'secret-----' } };
    const rendered = renderUserData(sampleProps({ bucket, config }));
    expect(rendered).toContain(`BUCKET=${bucket}\n`);
    expect(rendered).toContain('api_key_secret_id: secret-----\n');
  });

  test('holds nothing that looks like a secret', () => {
    const everything = [text, ...files.values()].join('\n');
    expect(everything).not.toMatch(
      /AKIA|ASIA|BEGIN [A-Z ]*PRIVATE KEY|eyJ[A-Za-z0-9_-]{10,}|sk-[A-Za-z0-9]{16,}/,
    );
  });

  test('gives a shell nothing to interpret', () => {
    const { status, stdout } = spawnSync('sh', ['-euc', 'eval "$(cat)"; echo "$BUCKET $MODEL_FILE"'], {
      input: renderedFile('bootstrap.env'),
      encoding: 'utf8',
    });
    expect([status, stdout]).toEqual([0, `${'b'.repeat(63)} ${sampleProps().modelFile}\n`]);
  });
});

describe('refused values', () => {
  const refused: readonly [string, Partial<UserDataProps>, string][] = [
    [
      'a region with a space',
      { region: 'us east' },
      'region should be an AWS region such as us-east-1, got "us east"',
    ],
    [
      'a bucket that is a command',
      { bucket: '$(reboot)' },
      `bucket should be a bucket's name, got "$(reboot)"`,
    ],
    ['an object key with a space', { bundleKey: 'a b' }, 'bundleKey should be an object key of letters'],
    ['an empty object key', { modelKey: '' }, 'modelKey should be an object key of letters'],
    [
      'a hash in capitals',
      { bundleSha256: 'A'.repeat(64) },
      'bundleSha256 should be 64 hex digits in lower case',
    ],
    ['a short hash', { modelSha256: 'abc' }, 'modelSha256 should be 64 hex digits in lower case, got "abc"'],
    ['a model in another folder', { modelFile: '../x.gguf' }, 'modelFile should be a file name of letters'],
    ['a model that is no GGUF file', { modelFile: 'x.bin' }, 'that ends in .gguf, got "x.bin"'],
    [
      'a report prefix without a slash',
      { reportPrefix: 'reports' },
      'reportPrefix should be a key prefix that ends in /',
    ],
    [
      'an address with a shell in it',
      { publicAddress: '1.2.3.4;id' },
      'publicAddress should be an IPv4 address',
    ],
    [
      'a port out of range',
      { externalPort: 70000 },
      'externalPort should be a whole number from 1 to 65535, got 70000',
    ],
    ['the TLS port as the plain one', { externalPort: 443 }, 'externalPort should be neither 443'],
    ['one port for two things', { internalPort: 18789 }, 'nor internalPort (18789), got 18789'],
    [
      'less memory than any model needs',
      { memoryMaxMiB: 100 },
      'memoryMaxMiB should be a whole number of MiB from 256',
    ],
  ];
  test.each(refused)('%s', (_name, changes, message) => {
    expect(() => renderUserData(sampleProps(changes))).toThrow(message);
  });

  test('all at once, a line each', () => {
    expect(() => renderUserData(sampleProps({ region: '', bucket: '' }))).toThrow(
      /region should be .*\nbucket should be /,
    );
  });

  const secrets: readonly [string, object][] = [
    ['config.api_key', { api_key: 'hunter2-hunter2-hunter2' }],
    ['config.security.api_key', { security: { api_key: 'hunter2-hunter2-hunter2' } }],
    ['config.remote_service.auth.token', { remote_service: { auth: { token: 'hunter2-hunter2-hunter2' } } }],
  ];
  test.each(secrets)('a secret in %s, without repeating it', (key, config) => {
    const render = () => renderUserData(sampleProps({ config }));
    expect(render).toThrow(`${key} should not hold a secret`);
    expect(render).not.toThrow(/hunter2/);
  });

  test('but not a reference to the environment', () => {
    const security = { api_key: '${GENERATED_KEY}' };
    expect(renderUserData(sampleProps({ config: { ...sampleProps().config, security } }))).toContain(
      'api_key: ${GENERATED_KEY}\n',
    );
  });

  test('a configuration that disagrees with the props', () => {
    const config = { model_path: '/tmp/other.gguf', network: { internal_port: 9000 } };
    expect(() => renderUserData(sampleProps({ config }))).toThrow(
      /config.model_path should be "\/opt\/bot\/models\/.*gguf", as the props say, got "\/tmp\/other.gguf"\nconfig.network.internal_port should be 8000/,
    );
  });
});

function withPorts(external: number): object {
  return { ...sampleProps().config, network: { external_port: external, internal_port: 8000 } };
}
