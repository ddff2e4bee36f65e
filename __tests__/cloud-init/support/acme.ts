/**
 * A certificate authority (pebble, the ACME authors' own) and what it and `lego` ask: a name server, and Route 53 behind
 * the name and the TLS that AWS has. All on loopback, for one test file.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer as createPlainServer, type IncomingMessage } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, type Server } from 'node:net';

import { freePort } from '../../support/free-port';
import { changedRecord, makeAuthority, pebblePrograms, tellTxt, type Trust } from '../../support/pebble';

const HOST = '127.0.0.1';

/** The zone that Route 53 has; it refuses every other one, as for a wrong id. */
export const ZONE_ID = 'Z0123456789ABCDEFGHIJ';

export interface Acme {
  /** Of the authority. */
  readonly directory: string;
  /** For `lego`: how it finds Route 53 and whom it trusts. */
  readonly environment: NodeJS.ProcessEnv;
  /** Names of the records that were written, in order. */
  readonly written: string[];
  stop(): Promise<void>;
}

export async function startAcme(folder: string): Promise<Acme> {
  const trust = makeAuthority(folder, `DNS:route53.amazonaws.com,DNS:localhost,IP:${HOST}`);
  const [acme, management, dns, recordsPort] = (await Promise.all(Array.from({ length: 4 }, freePort))) as [
    number,
    number,
    number,
    number,
  ];
  const records = `http://${HOST}:${recordsPort}`;
  const programs = pebblePrograms(folder, HOST, { acme, management, dns, records: recordsPort }, trust);
  const children = programs.map(({ argv: [program = '', ...args], env }) =>
    spawn(program, args, { env, stdio: 'ignore' }),
  );
  const written: string[] = [];
  const servers = [await route53(trust, records, written)];
  servers.push(await proxyTo((servers[0]!.address() as AddressInfo).port));
  await Promise.all([listening(acme, children[1]!), listening(recordsPort, children[0]!)]);
  return {
    directory: `https://${HOST}:${acme}/dir`,
    environment: {
      HTTPS_PROXY: `http://${HOST}:${(servers[1]!.address() as AddressInfo).port}`,
      // Go's programs take it as the whole of what they trust.
      SSL_CERT_FILE: trust.authority,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      // It would wait 4 s for other name servers to hear of a record.
      AWS_POLLING_INTERVAL: '1',
    },
    written,
    async stop() {
      await Promise.all(children.map(ended));
      for (const server of servers) server.close();
    },
  };
}

/** As much of Route 53 as a record takes: it tells the name server at once, and says so. */
async function route53(trust: Trust, records: string, written: string[]): Promise<Server> {
  const server = createTlsServer(
    { key: readFileSync(trust.key), cert: readFileSync(trust.certificate) },
    (request, response) => {
      void (async () => {
        const body = await bodyOf(request);
        response.setHeader('content-type', 'text/xml');
        if (request.url?.includes('/change/')) {
          return void response.end(xml('GetChangeResponse', CHANGE));
        }
        if (!request.url?.includes(`/hostedzone/${ZONE_ID}/`)) {
          const error = '<Code>NoSuchHostedZone</Code><Message>No hosted zone found with that ID</Message>';
          return void response.writeHead(404).end(xml('ErrorResponse', `<Error>${error}</Error>`));
        }
        if (request.method === 'GET') {
          const none = '<ResourceRecordSets/><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems>';
          return void response.end(xml('ListResourceRecordSetsResponse', none));
        }
        const { name, value, action } = changedRecord(body);
        if (action !== 'DELETE') {
          written.push(name);
          await tellTxt(records, name, value);
        }
        response.end(xml('ChangeResourceRecordSetsResponse', CHANGE));
      })();
    },
  );
  return listen(server);
}

const CHANGE =
  '<ChangeInfo><Id>/change/C1</Id><Status>INSYNC</Status><SubmittedAt>2026-01-01T00:00:00Z</SubmittedAt></ChangeInfo>';

function xml(name: string, content: string): string {
  return `<?xml version="1.0"?><${name} xmlns="https://route53.amazonaws.com/doc/2013-04-01/">${content}</${name}>`;
}

/** A proxy for TLS that knows one destination, whatever it is asked for. */
async function proxyTo(port: number): Promise<Server> {
  const server = createPlainServer();
  server.on('connect', (_request, client) => {
    const upstream = connect(port, HOST, () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.pipe(client).pipe(upstream);
    });
    for (const socket of [upstream, client]) socket.on('error', () => socket.destroy());
  });
  return listen(server);
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  return body;
}

function listen(server: Server): Promise<Server> {
  return new Promise((resolve) => server.listen(0, HOST, () => resolve(server)));
}

async function listening(port: number, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + 40_000;
  for (;;) {
    const open = await new Promise((resolve) => {
      const socket = connect(port, HOST, () => resolve(true));
      socket.on('error', () => resolve(false));
      socket.on('close', () => socket.destroy());
      setTimeout(() => socket.destroy(), 500).unref();
    });
    if (open === true) return;
    if (Date.now() > deadline || child.exitCode !== null) {
      throw new Error(`${child.spawnfile} does not listen on port ${port}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('close', () => resolve());
    child.kill('SIGKILL');
  });
}
