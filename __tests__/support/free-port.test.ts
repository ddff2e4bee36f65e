import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

import { freePort } from './free-port';

describe('a free port', () => {
  test('is none that the system gives to connections, and nobody is given it twice', async () => {
    const ports = await Promise.all(Array.from({ length: 200 }, freePort));
    expect(new Set(ports).size).toBe(ports.length);
    if (process.platform !== 'linux') return;
    const range = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8');
    const [first = 0, last = 0] = range.trim().split(/\s+/).map(Number);
    if (first >= 11_024) expect(ports.filter((port) => port >= first && port <= last)).toEqual([]);
  });

  test('can be had', async () => {
    const port = await freePort();
    const server = createServer();
    await new Promise<void>((resolve, reject) =>
      server.once('error', reject).listen(port, '127.0.0.1', resolve),
    );
    await new Promise((resolve) => server.close(resolve));
  });
});
