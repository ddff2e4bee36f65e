/** A certificate authority for tests: pebble, the ACME authors' own, the name server that it asks, and what is needed to be trusted. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Paths of PEM files. */
export interface Trust {
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

/** An authority, and a certificate of it. @param names subjectAltName, such as `DNS:localhost,IP:127.0.0.1` */
export function makeAuthority(folder: string, names: string): Trust {
  const path = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'ignore' });
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'];
  const [ca, caKey] = [path('ca.pem'), path('ca-key.pem')];
  openssl('req', '-x509', ...curve, '-subj', '/CN=test authority', '-keyout', caKey, '-out', ca);
  openssl('req', ...curve, '-subj', '/CN=test', '-keyout', path('key.pem'), '-out', path('request.pem'));
  writeFileSync(path('names'), `subjectAltName=${names}\n`);
  openssl(
    ...['x509', '-req', '-in', path('request.pem'), '-CA', ca, '-CAkey', caKey, '-days', '2'],
    ...['-extfile', path('names'), '-out', path('certificate.pem')],
  );
  return { authority: ca, certificate: path('certificate.pem'), key: path('key.pem') };
}

export interface PebblePorts {
  /** ACME, over TLS: `/dir` is the directory. */
  readonly acme: number;
  /** Over TLS, too: `/roots/0` is the root certificate that it signs by, made at each start. */
  readonly management: number;
  /** Name server. */
  readonly dns: number;
  /** Where the name server is told its records: `POST /set-txt`, `/clear-txt`. */
  readonly records: number;
}

export interface Program {
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/** The programs to start, in this order. */
export function pebblePrograms(folder: string, host: string, ports: PebblePorts, trust: Trust): Program[] {
  const config = join(folder, 'pebble.json');
  writeFileSync(
    config,
    JSON.stringify({
      pebble: {
        listenAddress: `${host}:${ports.acme}`,
        managementListenAddress: `${host}:${ports.management}`,
        certificate: trust.certificate,
        privateKey: trust.key,
        httpPort: 5002,
        tlsPort: 5001,
        externalAccountBindingRequired: false,
      },
    }),
  );
  return [
    {
      argv: [
        ...[
          'pebble-challtestsrv',
          '-dns01',
          `${host}:${ports.dns}`,
          '-management',
          `${host}:${ports.records}`,
        ],
        ...['-http01', '', '-https01', '', '-tlsalpn01', ''],
      ],
      env: process.env,
    },
    {
      argv: ['pebble', '-strict', '-config', config, '-dnsserver', `${host}:${ports.dns}`],
      // It waits some seconds before it looks, to be like a real one; and every other time it takes an earlier proof for
      // a new one, so that a domain that is not one's own any more would be certified.
      env: { ...process.env, PEBBLE_VA_NOSLEEP: '1', PEBBLE_AUTHZREUSE: '0' },
    },
  ];
}

/** What a change of records in Route 53 says: the first record of it. */
export function changedRecord(body: string): { action: string; name: string; type: string; value: string } {
  const [action = '', name = '', type = '', value = ''] = ['Action', 'Name', 'Type', 'Value'].map(
    (tag) => new RegExp(`<${tag}>(.*?)</${tag}>`).exec(body)?.[1],
  );
  // One character is escaped in it, the quote.
  return { action, name, type, value: value.replace(/&#34;|&quot;|"/g, '') };
}

/** Tells the name server a TXT record, or that it is gone. @param records its address for that */
export async function tellTxt(records: string, name: string, value: string | undefined): Promise<void> {
  await fetch(`${records}/${value === undefined ? 'clear-txt' : 'set-txt'}`, {
    method: 'POST',
    body: JSON.stringify(value === undefined ? { host: name } : { host: name, value }),
  });
}
