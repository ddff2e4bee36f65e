/** The endpoint as its users meet it: from outside, over the two open ports. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Agent, get } from 'node:https';
import { connect, type Socket } from 'node:net';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { connect as connectTls } from 'node:tls';
import { run, waitFor } from '../box/commands';
import type { Report } from '../report';
import type { StreamedAnswer } from './openai-client';
import type { Subject } from './subject';

const ROOT = resolve(__dirname, '..', '..', '..');
const PLAIN_PORT = 18789;

/** The curl of the deployment guide, word for word but for the address. `$OPTIONS` pins the certificate on 443. */
const GUIDE_CURL = `curl -sS $OPTIONS -X POST "$ADDRESS/api/v1/chat" \\
  -H "Authorization: Bearer $YOUR_TOKEN" \\
  -H "Content-Type: application/json" \\
  -d '{"messages": [{"role": "user", "content": "你好,介绍一下自己"}],"temperature": 0.7}'`;

export async function checkEndpoint(report: Report, subject: Subject): Promise<void> {
  const { guest, deployment } = subject;
  const plain = `http://${guest.ip}:${PLAIN_PORT}`;
  const encrypted = `https://${guest.ip}`;
  const certificate = deployment.certificateFile;
  let token = '';

  await report.check('generate_token.sh on the guest makes a token', async () => {
    const { stdout } = await guest.exec([
      '/opt/bot/bin/generate_token.sh',
      '--user',
      'admin',
      '--expiry',
      '86400',
    ]);
    const [, jwt = '', expiry = ''] =
      /^Generated Access Token: (\S+)\nToken Expiry: (\S+)$/.exec(stdout.trim()) ?? [];
    assert.match(jwt, /^[\w-]+\.[\w-]+\.[\w-]+$/, `it printed:\n${stdout}`);
    const hours = (Date.parse(expiry) - Date.now()) / 3_600_000;
    assert.ok(hours > 23.9 && hours < 24.1, `expiry ${expiry} is not in a day`);
    token = jwt;
  });

  for (const [name, address, options] of [
    ['443', encrypted, `--cacert ${certificate}`],
    [String(PLAIN_PORT), plain, ''],
  ] as const) {
    await report.check(`the curl of the guide answers on ${name}`, async () => {
      const env = { ...process.env, ADDRESS: address, OPTIONS: options, YOUR_TOKEN: token };
      const { stdout } = await run(['/bin/sh', '-c', GUIDE_CURL], { env, timeoutMs: 150_000 });
      return describeAnswer(stdout);
    });
  }

  await report.check('the API key is taken, too', async () => {
    const { status, body } = await chat(encrypted, `Bearer ${subject.apiKey}`, certificate);
    assert.equal(status, 200, body);
  });

  await report.check('the chat_command that the deploy printed works when pasted', async () => {
    const command = deployment.outputs().chat_command ?? '';
    // Two things are not there in the box: the AWS CLI, and anything behind the emulator's Elastic IP.
    const pasted = command
      .replace(/^aws [^|]*/, 'printf %s "$API_KEY" ')
      .replace(/https:\/\/[\d.]+\//, `${encrypted}/`);
    assert.notEqual(pasted, command);
    const env = { ...process.env, API_KEY: subject.apiKey };
    return describeAnswer((await run(['/bin/sh', '-c', pasted], { env, cwd: ROOT })).stdout);
  });

  await report.check('the openai client streams an answer over 443 with the certificate pinned', async () => {
    const answer = await streamWithOpenAi(`${encrypted}/v1`, token, certificate);
    assert.ok(answer.chunks > 3, `only ${answer.chunks} chunks came`);
    assert.ok(answer.text.trim().length > 0, 'the text is empty');
    assert.ok(answer.completionTokens > 0, 'no usage came');
    return `${answer.chunks} chunks, ${answer.completionTokens} tokens: "${oneLine(answer.text)}"`;
  });

  for (const [what, authorization] of [
    ['a missing token', undefined],
    ['a wrong token', 'Bearer sk-wrong'],
    ['a token with a changed signature', `Bearer ${changed(token)}`],
  ] as const) {
    await report.check(`${what} is refused`, async () => {
      for (const address of [encrypted, plain]) {
        const { status, body } = await chat(address, authorization, certificate);
        assert.equal(status, 401, `${address} answered ${status}: ${body}`);
        assert.equal(typeof errorOf(body).message, 'string', body);
      }
      return '401 on both ports';
    });
  }

  await checkCertificate(report, subject);
  await checkOpenPorts(report, guest.ip);
  await checkRateLimit(report, encrypted, certificate);
}

async function checkCertificate(report: Report, { guest, deployment, report: boot }: Subject): Promise<void> {
  await report.check(
    "the certificate's fingerprint is the one in the boot report and in the file of the deploy",
    async () => {
      const served = await new Promise<string>((resolve, reject) => {
        // Not verified here on purpose: what is compared is the certificate itself.
        const socket = connectTls({ host: guest.ip, port: 443, rejectUnauthorized: false }, () => {
          resolve(socket.getPeerCertificate().fingerprint256);
          socket.destroy();
        });
        socket.once('error', reject);
      });
      assert.equal(served, boot.tlsFingerprintSha256);
      const { stdout } = await run([
        'openssl',
        'x509',
        '-noout',
        '-fingerprint',
        '-sha256',
        '-in',
        deployment.certificateFile,
      ]);
      assert.equal(stdout.trim().split('=')[1], served);
      return served.slice(0, 23) + '…';
    },
  );

  await report.check('TLS 1.2 and 1.3 are spoken, 1.0 and 1.1 are refused', async () => {
    const spoken: string[] = [];
    for (const version of ['tls1', 'tls1_1', 'tls1_2', 'tls1_3']) {
      // SECLEVEL=0: without it this openssl would not even offer the old versions, and would prove nothing.
      const command = [
        'openssl',
        's_client',
        '-connect',
        `${guest.ip}:443`,
        `-${version}`,
        '-cipher',
        'ALL:@SECLEVEL=0',
      ];
      const { stdout, stderr } = await run(command, { allowFailure: true });
      if (/Cipher is (?!\(NONE\))/.test(stdout)) spoken.push(version);
      else assert.match(stderr, /alert|unexpected eof|wrong version/i, stderr);
    }
    assert.deepEqual(spoken, ['tls1_2', 'tls1_3']);
  });
}

async function checkOpenPorts(report: Report, ip: string): Promise<void> {
  await report.check(`no port but 443 and ${PLAIN_PORT} is open from outside`, async () => {
    const ports = [22, 80, 111, 443, 5355, 8000, 8080, PLAIN_PORT];
    const open = await Promise.all(ports.map(async (port) => ((await isOpen(ip, port)) ? [port] : [])));
    assert.deepEqual(open.flat(), [443, PLAIN_PORT]);
    return `tried ${ports.join(', ')}`;
  });
}

/** 10 a second and a burst of 20, as cloud-init/files/nginx.conf has it. */
const RATE = { perSecond: 10, burst: 20 };

async function checkRateLimit(report: Report, address: string, certificate: string): Promise<void> {
  await report.check('a burst of requests meets the rate limit (429), and a pause ends it', async () => {
    const agent = new Agent({ ca: readFileSync(certificate), keepAlive: true, maxSockets: 20 });
    try {
      const from = Date.now();
      const all = await Promise.all(Array.from({ length: 120 }, () => health(address, agent)));
      const seconds = (Date.now() - from) / 1000;
      const limited = all.filter(({ status }) => status === 429);
      const answered = all.filter(({ status }) => status === 200).length;
      const others = all.map(({ status }) => status).filter((status) => ![200, 429].includes(status));
      assert.deepEqual(others, []);
      // However long it took: what the rate lets in meanwhile, and not one more.
      const most = 1 + RATE.burst + Math.ceil(RATE.perSecond * seconds);
      assert.ok(
        answered > RATE.burst && answered <= most && limited.length > 0,
        `${answered} answered in ${seconds} s, of ${RATE.burst + 1} to ${most}`,
      );
      for (const { body } of limited) assert.equal(typeof errorOf(body).message, 'string', body);
      await waitFor(
        'the end of the limit',
        async () => ((await health(address, agent)).status === 200 ? true : undefined),
        { timeoutMs: 30_000, intervalMs: 1_000 },
      );
      return `${answered} answered, ${limited.length} refused`;
    } finally {
      agent.destroy();
    }
  });
}

function health(address: string, agent: Agent): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    get(`${address}/health`, { agent }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.once('error', reject);
    }).once('error', reject);
  });
}

async function chat(
  address: string,
  authorization: string | undefined,
  certificate: string,
): Promise<{ status: number; body: string }> {
  // The header by standard input: a command line can be read by every user of this machine.
  const input = authorization === undefined ? '' : `Authorization: ${authorization}`;
  const data = JSON.stringify({ messages: [{ role: 'user', content: 'Hello' }], max_tokens: 8 });
  const { stdout } = await run(
    [
      ...['curl', '-sS', '--cacert', certificate, '-w', '\\n%{http_code}', '-H', '@-'],
      ...['-H', 'Content-Type: application/json', '-d', data, `${address}/api/v1/chat`],
    ],
    { input },
  );
  const lines = stdout.split('\n');
  return { status: Number(lines.at(-1)), body: lines.slice(0, -1).join('\n') };
}

/** The same request over 443, for those who only want to know that it answers. */
export async function answers(subject: Pick<Subject, 'guest' | 'deployment'>, key: string): Promise<boolean> {
  try {
    return (
      (await chat(`https://${subject.guest.ip}`, `Bearer ${key}`, subject.deployment.certificateFile))
        .status === 200
    );
  } catch {
    return false;
  }
}

async function streamWithOpenAi(
  baseUrl: string,
  token: string,
  certificate: string,
): Promise<StreamedAnswer> {
  const tsx = pathToFileURL(require.resolve('tsx')).href;
  const env = { ...process.env, OPENAI_API_KEY: token, NODE_EXTRA_CA_CERTS: certificate };
  readFileSync(certificate); // a clear error when the deploy has not left one
  const { stdout } = await run(
    [process.execPath, '--import', tsx, join(__dirname, 'openai-client.ts'), baseUrl],
    { env },
  );
  return JSON.parse(stdout) as StreamedAnswer;
}

function describeAnswer(body: string): string {
  const answer = JSON.parse(body) as {
    id?: string;
    object?: string;
    choices?: { message: { role: string; content: string } }[];
  };
  assert.match(answer.id ?? '', /^chatcmpl-/, body);
  assert.equal(answer.object, 'chat.completion', body);
  const message = answer.choices?.[0]?.message;
  assert.equal(message?.role, 'assistant', body);
  assert.ok((message?.content ?? '').trim().length > 0, `the answer is empty: ${body}`);
  return `"${oneLine(message?.content ?? '')}"`;
}

function errorOf(body: string): { message?: string } {
  return (JSON.parse(body) as { error?: { message?: string } }).error ?? {};
}

function oneLine(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > 60 ? `${line.slice(0, 57)}…` : line;
}

/** The same token with another signature. Not its last letter: that one carries bits which mean nothing. */
function changed(token: string): string {
  const at = token.lastIndexOf('.') + 3;
  return token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
}

function isOpen(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket: Socket = connect({ host, port, timeout: 5_000 });
    const end = (open: boolean): void => {
      socket.destroy();
      resolve(open);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
    socket.once('timeout', () => end(false));
  });
}
