/** certificate.sh as it is on the machine, with the real `lego`, against a real certificate authority. */
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

import { temporaryFolder } from '../support/temporary-folder';
import { type Acme, startAcme, ZONE_ID } from './support/acme';
import { renderedFile } from './support/sample';
import { run } from './support/tools';

const DOMAIN = 'chat.example.com';
const KEY = `tls/${DOMAIN}.tar.gz`;

const folder = temporaryFolder();
const missing = ['lego', 'pebble', 'pebble-challtestsrv'].filter(
  (tool) => run('sh', ['-c', `command -v ${tool}`]).status !== 0,
);

(missing.length === 0 ? describe : describe.skip)(
  `certificate.sh${missing.length === 0 ? '' : ` (skipped: no ${missing.join(', ')}; apt-get install lego pebble)`}`,
  () => {
    let acme: Acme;
    let cloud: Server;
    /** What the bucket holds. */
    let objects: Map<string, Buffer>;

    beforeEach(async () => {
      acme = await startAcme(folder());
      objects = new Map();
      cloud = createServer((request, response) => {
        const chunks: Buffer[] = [];
        request.on('data', (chunk: Buffer) => chunks.push(chunk));
        request.on('end', () => {
          const path = request.url ?? '';
          if (path.startsWith('/latest/')) return void response.end(metadata(path));
          const key = path.replace('/the-bucket/', '');
          if (request.method === 'PUT') objects.set(key, Buffer.concat(chunks));
          const found = objects.get(key);
          // As S3 says to a role that may not list the bucket.
          response.writeHead(found === undefined ? 403 : 200).end(request.method === 'PUT' ? '' : found);
        });
      });
      await new Promise<void>((resolve) => cloud.listen(0, '127.0.0.1', resolve));
    });

    afterEach(async () => {
      await acme.stop();
      cloud.closeAllConnections();
      cloud.close();
    });

    function metadata(path: string): string {
      if (path.endsWith('/security-credentials/')) return 'the-role';
      const role = { AccessKeyId: 'A', SecretAccessKey: 's', Token: 't' };
      return path.includes('security-credentials') ? JSON.stringify(role) : 'token';
    }

    /** A machine is a folder with the places that the script knows. */
    function machine(name: string): string {
      const root = join(folder(), name);
      for (const place of ['lib', 'tls', 'bin']) mkdirSync(join(root, place), { recursive: true });
      writeFileSync(
        join(root, 'lib', 'aws.py'),
        renderedFile('aws.py').replace(/^PAUSES = .*$/m, 'PAUSES = (0.1,)'),
      );
      writeFileSync(join(root, 'bin', 'systemctl'), `#!/bin/sh\necho "$*" >>"${root}/systemctl"\n`);
      for (const program of ['lib/aws.py', 'bin/systemctl']) chmodSync(join(root, program), 0o755);
      return root;
    }

    function certify(root: string, changes: NodeJS.ProcessEnv = {}, days = 30) {
      const script = renderedFile('certificate.sh')
        .replace('LIB=/usr/local/lib/bot', `LIB=${join(root, 'lib')}`)
        .replaceAll('/etc/bot', root)
        .replace('DAYS=30', `DAYS=${days}`);
      const url = `http://127.0.0.1:${(cloud.address() as AddressInfo).port}`;
      const env = {
        ...acme.environment,
        PATH: `${join(root, 'bin')}:${process.env['PATH']}:/usr/sbin`,
        REGION: 'us-east-1',
        BUCKET: 'the-bucket',
        DOMAIN,
        HOSTED_ZONE_ID: ZONE_ID,
        ACME_SERVER: acme.directory,
        ACME_EMAIL: 'ops@example.com',
        CERTIFICATE_KEY: KEY,
        AWS_ENDPOINT_URL: url,
        AWS_EC2_METADATA_SERVICE_ENDPOINT: url,
        ...changes,
      };
      return new Promise<{ code: unknown; stderr: string }>((resolve) => {
        execFile('bash', ['-c', script], { env }, (error, _stdout, stderr) =>
          resolve({ code: error === null ? 0 : error.code, stderr }),
        );
      });
    }

    const served = (root: string) => new X509Certificate(readFileSync(join(root, 'tls', 'cert.pem')));

    it('gets a certificate for the domain, by one record, and keeps it in the bucket', async () => {
      const first = machine('first');
      expect(await certify(first)).toMatchObject({ code: 0 });
      expect(served(first).subjectAltName).toBe(`DNS:${DOMAIN}`);
      expect(served(first).issuer).toMatch(/Pebble/);
      expect(acme.written).toEqual([`_acme-challenge.${DOMAIN}.`]);
      expect(run('openssl', ['pkey', '-noout', '-in', join(first, 'tls', 'key.pem')]).status).toBe(0);
      expect(statSync(join(first, 'tls', 'key.pem')).mode & 0o777).toBe(0o600);
      expect([...objects.keys()]).toEqual([KEY]);
    });

    it('asks for none while there is one: not again, and not for the machine after this one', async () => {
      const first = machine('first');
      await certify(first);
      const before = readFileSync(join(first, 'systemctl'), 'utf8');
      expect(await certify(first)).toMatchObject({ code: 0 });
      // Nothing changed, so nginx was not told.
      expect(readFileSync(join(first, 'systemctl'), 'utf8')).toBe(before);

      const second = machine('second');
      expect(await certify(second)).toMatchObject({ code: 0 });
      expect(served(second).serialNumber).toBe(served(first).serialNumber);
      expect(existsSync(join(second, 'tls', 'key.pem'))).toBe(true);
      expect(acme.written).toHaveLength(1);
    });

    it('renews what ends soon, and tells nginx', async () => {
      const first = machine('first');
      await certify(first);
      const before = served(first).serialNumber;
      const stored = objects.get(KEY);
      expect(await certify(first, {}, 36_500)).toMatchObject({ code: 0 });
      expect(served(first).serialNumber).not.toBe(before);
      expect(readFileSync(join(first, 'systemctl'), 'utf8')).toMatch(/reload nginx\.service\n$/);
      expect(objects.get(KEY)).not.toEqual(stored);
    });

    it('ends with the cause when the domain is not its own, and leaves what is served', async () => {
      const first = machine('first');
      await certify(first);
      const before = served(first).serialNumber;
      const wrong = { HOSTED_ZONE_ID: 'Z0000000000AAAAAAAAAA' };
      const { code, stderr } = await certify(first, wrong, 36_500);
      expect(code).not.toBe(0);
      expect(stderr.trim().split('\n').slice(-3).join(' ')).toMatch(/NoSuchHostedZone/);
      expect(served(first).serialNumber).toBe(before);
    });
  },
);
