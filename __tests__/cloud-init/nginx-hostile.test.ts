/** The real nginx with the machine's own configuration, under clients that mean harm: the others are answered meanwhile. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { until } from '../runtime/support/test-service';
import { freePort } from '../support/free-port';
import { temporaryFolder } from '../support/temporary-folder';
import { renderedFile } from './support/sample';
import { run, testWith } from './support/tools';

const folder = temporaryFolder();
/** Who means harm comes from another of loopback's addresses: nginx counts by address. */
const ATTACKER = '127.0.0.66';
/** Instead of 10 s, so that the test need not last as long. */
const PATIENCE_MS = 2000;

let service: Server;
/** What the service behind nginx does; as a rule it answers. */
let answer: (res: ServerResponse) => void;
let nginx: ChildProcess | undefined;
let port: number;
let tlsPort: number;
const sockets: Socket[] = [];

beforeEach(async () => {
  answer = (res) => void res.end('answered');
  service = createServer((req, res) => {
    req.resume().on('end', () => answer(res));
  });
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  if (nginx !== undefined && nginx.exitCode === null) {
    const ended = new Promise((resolve) => nginx?.once('exit', resolve));
    nginx.kill('SIGTERM');
    await ended;
  }
  nginx = undefined;
  service.closeAllConnections();
  await new Promise((resolve) => service.close(resolve));
});

/** `edit` changes the site's file. */
async function startNginx(edit = (site: string) => site): Promise<void> {
  port = await freePort();
  tlsPort = await freePort();
  const inner = (service.address() as AddressInfo).port;
  const [key, cert] = [join(folder(), 'key.pem'), join(folder(), 'cert.pem')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'];
  run('openssl', ['req', '-x509', ...curve, '-subj', '/CN=test', '-keyout', key, '-out', cert]);
  const rendered = renderedFile('nginx.conf');
  const site = rendered
    .replaceAll('/etc/bot/tls', folder())
    .replaceAll('/var/log/nginx', folder())
    .replaceAll('127.0.0.1:8000', `127.0.0.1:${inner}`)
    .replace('listen 443 ssl', `listen 127.0.0.1:${tlsPort} ssl`)
    .replace('listen 18789', `listen 127.0.0.1:${port}`)
    .replace('client_header_timeout 10s', `client_header_timeout ${PATIENCE_MS}ms`)
    .replace('client_body_timeout 10s', `client_body_timeout ${PATIENCE_MS}ms`);
  expect(site.match(/_timeout 2000ms/g)).toHaveLength(2);
  writeFileSync(join(folder(), 'site.conf'), edit(site));
  const main = join(folder(), 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder()}/${name};`)
    .join(' ');
  // The rest is Debian's: two workers on two cores, 768 connections each.
  writeFileSync(
    main,
    `pid ${folder()}/pid; daemon off; worker_processes 2; error_log ${folder()}/error.log;
     events { worker_connections 768; } http { ${temporary} include ${folder()}/site.conf; }`,
  );
  const path = `${process.env['PATH']}:/usr/sbin:/sbin`;
  nginx = spawn('nginx', ['-e', 'stderr', '-p', folder(), '-c', main], {
    env: { ...process.env, PATH: path },
    stdio: 'ignore',
  });
  for (let tries = 0; ; tries++) {
    if (await ask().catch(() => undefined)) return;
    if (tries > 100)
      throw new Error(`nginx did not start: ${readFileSync(join(folder(), 'error.log'), 'utf8')}`);
    await sleep(50);
  }
}

/** An honest request; resolves to its status and how long it took. */
function ask(): Promise<{ status: number | undefined; ms: number }> {
  const from = performance.now();
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: '127.0.0.1', port, method: 'POST', path: '/v1/x', agent: false },
      (res) => {
        res.resume().on('end', () => resolve({ status: res.statusCode, ms: performance.now() - from }));
      },
    );
    request.setTimeout(20_000, () => request.destroy(new Error('no answer')));
    request.on('error', reject).end('{}');
  });
}

interface Hostile {
  readonly socket: Socket;
  /** What nginx sent until it closed the connection, and when that was. */
  readonly ended: Promise<{ text: string; ms: number }>;
}

function attack(first: string): Hostile {
  const from = performance.now();
  const socket = connect({ host: '127.0.0.1', port, localAddress: ATTACKER });
  // Each wait for room listens for the end too.
  socket.setMaxListeners(0);
  socket.write(first);
  sockets.push(socket);
  let text = '';
  socket.on('data', (bytes) => (text += bytes.toString('latin1')));
  // A reset is one of nginx's ways to end it.
  socket.on('error', () => undefined);
  const ended = new Promise<{ text: string; ms: number }>((resolve) => {
    socket.once('close', () => resolve({ text, ms: performance.now() - from }));
  });
  return { socket, ended };
}

/** Writes piece after piece, as fast as they are taken, until the other side has enough. Resolves to the bytes sent. */
async function flood({ socket }: Hostile, piece: string, times: number): Promise<number> {
  for (let sent = 0; sent < times && !socket.destroyed && socket.writable; sent++) {
    if (!socket.write(piece)) {
      await Promise.race([
        new Promise((resolve) => socket.once('drain', resolve)),
        new Promise((resolve) => socket.once('close', resolve)),
      ]);
    }
  }
  return socket.bytesWritten;
}

const HEAD = 'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n';

testWith(
  'nginx',
  'nginx-light',
  'a body of 100 MB gets 413, announced or not, and nothing of it is kept',
  async () => {
    await startNginx();
    const announced = attack(`${HEAD}Content-Length: 104857600\r\n\r\n`);
    const unannounced = attack(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`);
    const piece = `10000\r\n${'x'.repeat(65536)}\r\n`;
    await Promise.all([flood(announced, piece, 1600), flood(unannounced, piece, 1600)]);
    expect(await ask()).toMatchObject({ status: 200 });
    for (const { text } of [await announced.ended, await unannounced.ended]) {
      expect(text).toMatch(/^HTTP\/1\.1 413 /);
      expect(text).toContain('"code":"payload_too_large"');
    }
    expect(readdirSync(join(folder(), 'client_body'), { recursive: true })).toEqual([]);
  },
);

testWith('nginx', 'nginx-light', 'floods of headers end at once, large ones and many', async () => {
  await startNginx();
  const large = attack(`${HEAD}X-Large: `);
  await flood(large, 'x'.repeat(65536), 1600);
  const many = attack(HEAD);
  await flood(many, 'X-Many: x\r\n'.repeat(1000), 1600);
  for (const { text } of [await large.ended, await many.ended]) {
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
    expect(text).toContain('"code":"invalid_http"');
  }
  expect(await ask()).toMatchObject({ status: 200 });
});

testWith('nginx', 'nginx-light', 'what is no HTTP at all is told so, in the shape of the API', async () => {
  await startNginx();
  for (const nonsense of ['nonsense\r\n\r\n', `GET /${'x'.repeat(70_000)} HTTP/1.1\r\n\r\n`]) {
    const { text } = await attack(nonsense).ended;
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
    expect(text).toContain('"code":"invalid_http"');
  }
});

testWith('nginx', 'nginx-light', 'senders of a byte at a time hold up nobody, and end', async () => {
  await startNginx();
  const headers = Array.from({ length: 300 }, () => attack(HEAD));
  const bodies = Array.from({ length: 20 }, () => attack(`${HEAD}Content-Length: 1000\r\n\r\n{`));
  const drip = setInterval(() => {
    for (const { socket } of headers) if (socket.writable) socket.write('X');
  }, 100);
  try {
    await sleep(300);
    for (let time = 0; time < 10; time++) {
      const { status, ms } = await ask();
      expect(status).toBe(200);
      // Behind the others it would be as long as these are held.
      expect(ms).toBeLessThan(PATIENCE_MS);
    }
    const ends = await Promise.all([...headers, ...bodies].map(({ ended }) => ended));
    // The timers are nginx's; a swamped machine gives it the processor late.
    expect(Math.max(...ends.map(({ ms }) => ms))).toBeLessThan(PATIENCE_MS + 8000);
  } finally {
    clearInterval(drip);
  }
});

testWith(
  'nginx',
  'nginx-light',
  'a source with 32 requests under way gets 429 for the next, until one of them ends',
  async () => {
    // The limit of requests a second comes first otherwise.
    await startNginx((site) =>
      site.replace('rate=10r/s', 'rate=10000r/s').replaceAll('burst=20', 'burst=1000'),
    );
    const held: ServerResponse[] = [];
    answer = (res) => void held.push(res);
    const request = `${HEAD}Content-Length: 2\r\nConnection: close\r\n\r\n{}`;
    const first = Array.from({ length: 32 }, () => attack(request));
    await until(() => held.length === 32);

    const { text } = await attack(request).ended;
    expect(text).toMatch(/^HTTP\/1\.1 429 /);
    expect(text).toMatch(/^Retry-After: 1\r$/m);
    const body = JSON.parse(text.slice(text.indexOf('\r\n\r\n'))) as { error: object };
    expect(body.error).toMatchObject({
      code: 'rate_limit_exceeded',
      type: 'rate_limit_error',
      param: null,
      message: expect.stringContaining('more than 32 at once'),
    });
    expect(held).toHaveLength(32);

    // Others are not touched by it.
    const honest = ask();
    await until(() => held.length === 33);
    held.at(-1)?.end('answered');
    expect(await honest).toMatchObject({ status: 200 });

    held[0]?.end('answered');
    await Promise.race(first.map(({ ended }) => ended));
    // A client may see the end before nginx counts it, and the next request is refused until then.
    let next: Hostile;
    let isRefused: boolean;
    do {
      isRefused = false;
      next = attack(request);
      void next.ended.then(() => (isRefused = true));
      await until(() => held.length === 34 || isRefused);
    } while (isRefused);
    for (const res of held) res.end('answered');
    expect((await next.ended).text).toMatch(/^HTTP\/1\.1 200 /);
  },
);

testWith('sslscan', 'sslscan', 'a scanner finds nothing old and nothing weak in its TLS', async () => {
  await startNginx();
  const { output } = run('sslscan', ['--no-colour', '--xml=-', `127.0.0.1:${tlsPort}`]);
  const found = (pattern: RegExp) => [...output.matchAll(pattern)].map(([, ...parts]) => parts.join(' '));
  expect(found(/<protocol type="(\w+)" version="([\d.]+)" enabled="1"/g)).toEqual(['tls 1.2', 'tls 1.3']);
  const ciphers = found(/<cipher status="\w+" sslversion="TLSv([\d.]+)" .*? cipher="([\w-]+)"/g);
  expect(ciphers.length).toBeGreaterThanOrEqual(4);
  // Forward secrecy and authenticated encryption, all of them.
  expect(ciphers.filter((cipher) => !/^1\.3 TLS_|^1\.2 ECDHE-ECDSA-.*(GCM|CHACHA20)/.test(cipher))).toEqual(
    [],
  );
  expect(found(/<heartbleed sslversion="(\S+)" vulnerable="1"/g)).toEqual([]);
  expect(output).not.toMatch(/<compression supported="1"|<renegotiation supported="1" secure="0"/);
});
