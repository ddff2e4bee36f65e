/** The certificate that a real TLS server shows. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer, type Server } from 'node:tls';

import { CertificateWatch } from '../../../runtime/src/server/certificate-watch';
import { temporaryFolder } from '../../support/temporary-folder';

const DAY_MS = 86_400_000;

describe('the watch of the certificate', () => {
  const folder = temporaryFolder();
  let server: Server;
  let now: number;
  let logged: string[];

  beforeEach(async () => {
    logged = [];
    now = Date.now();
    const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder(), name));
    execFileSync(
      'openssl',
      `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 30 -subj /CN=bot -keyout ${key} -out ${cert}`.split(
        ' ',
      ),
      { stdio: 'ignore' },
    );
    server = createServer({ key: readFileSync(key ?? ''), cert: readFileSync(cert ?? '') });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterEach(() => server.close());

  const watch = (port = (server.address() as AddressInfo).port) =>
    new CertificateWatch({
      port,
      log: (level, text) => logged.push(`${level} ${text}`),
      now: () => now,
    });

  it('knows how long it is valid, and says nothing while that is long', async () => {
    const certificate = watch();
    expect(certificate.daysLeft).toBeUndefined();
    await certificate.look();
    expect(certificate.daysLeft).toBe(29);
    expect(logged).toEqual([]);
  });

  it('says so once a day in the last two weeks, and after its end', async () => {
    const certificate = watch();
    for (const days of [15, 17, 17, 28, 31]) {
      now = Date.now() + days * DAY_MS;
      await certificate.look();
    }
    expect(logged).toEqual([
      expect.stringMatching(
        /^WRN the certificate of port \d+ ends in 12 days, on \d{4}-\d\d-\d\d; .*bot-certificate/,
      ),
      expect.stringContaining('ends in 1 day, on '),
      expect.stringMatching(/^ERR the certificate of port \d+ ended on /),
    ]);
    expect(certificate.daysLeft).toBe(-2);
  });

  it('knows nothing of a port that shows none', async () => {
    const certificate = watch(50_002);
    await certificate.look();
    expect(certificate.daysLeft).toBeUndefined();
    certificate.close();
  });
});
