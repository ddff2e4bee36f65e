/**
 * What a domain takes beside AWS: a certificate authority with the name server that it asks (pebble), and Route 53 behind
 * its own name and TLS, because `lego` asks nothing else. Records go to the emulator, and what it takes to the name
 * server.
 */
import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { changedRecord, makeAuthority, pebblePrograms, tellTxt } from '../../support/pebble';
import type { Box } from './box';
import { run, start, waitFor } from './commands';
import { ROUTE53 } from './network';

const PORTS = { acme: 14000, management: 15000, dns: 8053, records: 8055 };

export class DomainWorld {
  private constructor(
    /** The authority's directory: the prop `acmeServer`. */
    readonly directory: string,
    /** PEM of who vouches for the directory and for Route 53: machines have to trust it. */
    readonly authority: string,
    /** PEM file of the root that the authority signs domains by. */
    readonly rootFile: string,
  ) {}

  static async start(box: Box): Promise<DomainWorld> {
    const { folder, network, account } = box;
    const { uplinkHost } = network.addresses;
    const own = folder.folder('domain');
    const trust = makeAuthority(own, `DNS:${ROUTE53},IP:${uplinkHost}`);
    for (const { argv, env } of pebblePrograms(own, uplinkHost, PORTS, trust)) {
      const name = argv[0] ?? '';
      start(argv, folder.undo, { name, logFile: join(folder.logs, `${name}.log`), env });
    }
    await network.admit(PORTS.acme);
    await serveRoute53(box, trust, account.endpointUrl);
    const rootFile = join(own, 'root.pem');
    await waitFor(
      'the certificate authority',
      async () => {
        const url = `https://${uplinkHost}:${PORTS.management}/roots/0`;
        const { status } = await run(
          ['curl', '-sSf', '--cacert', trust.authority, '-o', rootFile, '--retry', '0', url],
          { allowFailure: true },
        );
        return status === 0 ? true : undefined;
      },
      { timeoutMs: 60_000 },
    );
    return new DomainWorld(
      `https://${uplinkHost}:${PORTS.acme}/dir`,
      readFileSync(trust.authority, 'utf8'),
      rootFile,
    );
  }
}

async function serveRoute53(
  { network }: Box,
  { certificate, key }: { certificate: string; key: string },
  emulatorUrl: string,
): Promise<void> {
  const { uplinkHost } = network.addresses;
  const records = `http://${uplinkHost}:${PORTS.records}`;
  const server = createServer(
    { key: readFileSync(key), cert: readFileSync(certificate) },
    (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks);
        const upstream = httpRequest(
          new URL(request.url ?? '/', emulatorUrl),
          { method: request.method, headers: request.headers },
          (answer) => {
            const { action, name, type, value } = changedRecord(body.toString());
            const isTaken = answer.statusCode === 200 && type === 'TXT';
            const told = isTaken
              ? tellTxt(records, name, action === 'DELETE' ? undefined : value)
              : Promise.resolve();
            void told.then(() => {
              response.writeHead(answer.statusCode ?? 502, answer.headers);
              answer.pipe(response);
            });
          },
        );
        upstream.on('error', () => response.destroy());
        upstream.end(body);
      });
    },
  );
  await new Promise<void>((resolve) => server.listen(0, uplinkHost, resolve));
  await network.admit((server.address() as AddressInfo).port, 443);
}
