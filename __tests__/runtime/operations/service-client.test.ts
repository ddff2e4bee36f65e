import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { isReady, readMetrics } from '../../../runtime/src/operations/service-client';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** Tells the version in its metrics, as the service does. */
async function listening(version: string, port = 0): Promise<Server> {
  const server = createServer((req, res) => {
    res.end(req.url === '/metrics' ? `botstack_build_info{version="${version}"} 1\n` : '{}');
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  servers.push(server);
  return server;
}

test('asks the process that took over, and not the one before over a connection that it still has', async () => {
  const old = await listening('1');
  const { port } = old.address() as AddressInfo;
  const version = async () => (await readMetrics(port))?.[0]?.labels['version'];
  expect(await isReady(port)).toBe(true);
  expect(await version()).toBe('1');
  // As a process that retires: it listens no more, and still answers on the connections that it has.
  old.close();
  await listening('2', port);
  expect(await version()).toBe('2');
});
