import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { askService, withMyAddress } from '../../stacks/my-address';

const says = (address: string) => () => Promise.resolve(address);

describe('withMyAddress', () => {
  it("puts the deploying machine's address in place of the word", async () => {
    expect(await withMyAddress(['my-address', '203.0.113.0/24'], says('198.51.100.7'))).toEqual([
      '198.51.100.7/32',
      '203.0.113.0/24',
    ]);
  });

  it('names a range once', async () => {
    expect(await withMyAddress(['198.51.100.7/32', 'my-address'], says('198.51.100.7'))).toEqual([
      '198.51.100.7/32',
    ]);
  });

  it('asks nobody when the word is not there', async () => {
    const nobody = () => Promise.reject(new Error('asked'));
    expect(await withMyAddress(['203.0.113.0/24'], nobody)).toEqual(['203.0.113.0/24']);
  });
});

describe('askService', () => {
  let server: Server | undefined;

  afterEach(async () => {
    await new Promise((resolve) => (server === undefined ? resolve(undefined) : server.close(resolve)));
    server = undefined;
  });

  async function ask(listener: RequestListener): Promise<string> {
    const listening = createServer(listener);
    server = listening;
    await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
    return askService(`http://127.0.0.1:${(listening.address() as AddressInfo).port}`);
  }

  it('takes the address from the answer', async () => {
    expect(await ask((_, response) => response.end('198.51.100.7\n'))).toBe('198.51.100.7');
  });

  it('says what to do when the answer breaks off', async () => {
    const answer = ask((_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('198.51');
      setTimeout(() => response.destroy(), 50);
    });
    await expect(answer).rejects.toMatchObject({
      name: 'ProblemsError',
      message: expect.stringMatching(/did not tell .*: \['203\.0\.113\.7\/32'\]$/) as string,
    });
  });

  it('takes no address from an answer that is an error', async () => {
    const answer = ask((_, response) => response.writeHead(503).end('198.51.100.7'));
    await expect(answer).rejects.toThrow(/status 503/);
  });

  it("shows the beginning of a proxy's page, not the whole page", async () => {
    const answer = ask((_, response) =>
      response.end(`<html>\n<p>Sign in first${'!'.repeat(5000)}</p></html>`),
    );
    const error = await answer.catch((reason: unknown) => reason as Error);
    expect((error as Error).message).toMatch(/<html> <p>Sign in first/);
    expect((error as Error).message.length).toBeLessThan(400);
  });
});
