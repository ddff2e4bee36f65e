import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';

import { waitForAnswer } from '../../../scripts/lib/gate/answer';
import type { Cloud } from '../../../scripts/lib/gate/aws';
import type { Settings } from '../../../scripts/lib/gate/settings';
import { temporaryFolder } from '../../support/temporary-folder';

const KEY = 'sk-the-key-of-this-test';
const folder = temporaryFolder();
const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
  }
});

interface Endpoint {
  readonly settings: Settings;
  readonly fingerprint: string;
  /** What arrived: `POST /path`, with the Authorization header, by port. */
  readonly seen: string[];
}

/** A service with TLS and a plain port; the handler answers what comes with the right key. */
async function endpoint(handle: RequestListener): Promise<Endpoint> {
  const [key, cert] = [join(folder(), 'key.pem'), join(folder(), 'cert.pem')];
  const subject = ['-subj', '/CN=bot', '-days', '2', '-keyout', key, '-out', cert];
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', ...subject],
    {
      stdio: 'ignore',
    },
  );
  const seen: string[] = [];
  const listener = (scheme: string): RequestListener => {
    return (request, response) => {
      seen.push(
        `${scheme} ${request.method} ${request.url} ${request.headers.authorization ?? 'without a key'}`,
      );
      if (request.headers.authorization !== `Bearer ${KEY}`) {
        response.writeHead(401).end('{"error":{"message":"no key"}}');
        return;
      }
      handle(request, response);
    };
  };
  const tls = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, listener('https'));
  const plain = createServer(listener('http'));
  const [httpsPort, externalPort] = await Promise.all([tls, plain].map(listen));
  return {
    seen,
    fingerprint: new X509Certificate(readFileSync(cert)).fingerprint256,
    settings: {
      region: 'us-east-1',
      bucket: 'bucket',
      reportKey: 'reports/i-1.json',
      secretArn: 'arn',
      instanceId: 'i-1',
      address: '127.0.0.1',
      httpsPort: httpsPort!,
      externalPort: externalPort!,
      certificateFile: join(folder(), 'made', 'certificate.pem'),
      limitMs: 1000,
      silenceMs: 1000,
      graceMs: 60,
      pollMs: 5,
      patienceMs: 300,
      emulatorUrl: undefined,
    },
  };
}

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const answers: RequestListener = (request, response) => {
  if (request.url === '/v1/models') {
    response.end('{"data":[{"id":"tiny"}]}');
    return;
  }
  request
    .resume()
    .once('end', () =>
      response.end('{"choices":[{"message":{"content":"Hello."}}],"usage":{"completion_tokens":3}}'),
    );
};

function cloudWith(fingerprint: string, apiKey = KEY): Cloud {
  return {
    report: () =>
      Promise.resolve({
        schema: 1,
        status: 'ready',
        instanceId: 'i-1',
        step: 'ready',
        message: '',
        steps: [],
        tlsFingerprintSha256: fingerprint,
        time: '',
      }),
    apiKey: () => Promise.resolve(apiKey),
  };
}

async function told(
  at: Endpoint,
  cloud = cloudWith(at.fingerprint),
): Promise<{ lines: string; error?: Error }> {
  const lines: string[] = [];
  const error = await waitForAnswer(
    cloud,
    at.settings,
    (line) => lines.push(line),
    new AbortController().signal,
  ).then(
    () => undefined,
    (failure: unknown) => failure as Error,
  );
  return { lines: lines.join('\n'), error };
}

describe('waitForAnswer', () => {
  it('is content with an answer over TLS and a refusal on the plain port', async () => {
    const at = await endpoint(answers);
    const { lines, error } = await told(at);
    expect(error).toBeUndefined();
    expect(lines).toMatch(/answered in \d+\.\d s with 3 tokens from tiny:\n {2}"Hello\."/);
    expect(lines).toContain(at.fingerprint);
    expect(new X509Certificate(readFileSync(at.settings.certificateFile)).fingerprint256).toBe(
      at.fingerprint,
    );
  });

  it('sends the key over TLS only, and prints it nowhere', async () => {
    const at = await endpoint(answers);
    const { lines } = await told(at);
    expect(at.seen).toEqual([
      `https GET /v1/models Bearer ${KEY}`,
      `https POST /v1/chat/completions Bearer ${KEY}`,
      'http GET /v1/models without a key',
    ]);
    expect(lines).not.toContain(KEY);
  });

  it('sends nothing to a stranger: the certificate is compared first', async () => {
    const at = await endpoint(answers);
    const { error } = await told(at, cloudWith('00:11:22'));
    expect(error?.message).toMatch(/its certificate is .*, the machine reported 00:11:22/);
    expect(at.seen).toEqual([]);
  });

  it('says so when the service does not take the key', async () => {
    const at = await endpoint(answers);
    const { error } = await told(at, cloudWith(at.fingerprint, 'sk-another'));
    expect(error?.message).toMatch(/status 401 instead of 200: the service does not take the key/);
    expect(error?.message).not.toContain('sk-another');
  });

  it('waits for a service that is still starting', async () => {
    let requests = 0;
    const at = await endpoint((request, response) => {
      requests += 1;
      if (requests < 3) {
        response.writeHead(503).end('starting');
        return;
      }
      answers(request, response);
    });
    expect((await told(at)).error).toBeUndefined();
  });

  it('ends with what the service said when it keeps failing', async () => {
    const at = await endpoint((_, response) => void response.writeHead(500).end('the engine is gone'));
    expect((await told(at)).error?.message).toMatch(
      /status 500 instead of 200: its log says why\n {2}the engine is gone/,
    );
  });

  it('says what could not be reached', async () => {
    const at = await endpoint(answers);
    const closed = { ...at, settings: { ...at.settings, httpsPort: 1 } };
    expect((await told(closed)).error?.message).toMatch(
      /i-1 reports that it is ready, but .* \(connect ECONNREFUSED/,
    );
  });

  it('refuses a report without a fingerprint', async () => {
    const at = await endpoint(answers);
    expect((await told(at, cloudWith(''))).error?.message).toMatch(/no certificate fingerprint/);
    expect(at.seen).toEqual([]);
  });
});
