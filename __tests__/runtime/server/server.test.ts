import { connect, createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { Inherited } from '../../../runtime/src/server/handover/inherited';
import { listen } from '../../../runtime/src/server/listen';
import { portOwner } from '../../../runtime/src/server/port-owner';
import { neverEnds, says, ScriptedEngine } from '../support/scripted-engine';
import { API_KEY, eventsOf, startTestService, stopTestServices, until } from '../support/test-service';

stopTestServices();

const CHAT = '/v1/chat/completions';
const STREAM = { model: 'test-model', messages: [{ role: 'user', content: 'Hi' }], stream: true };

describe('a port that is taken', () => {
  let holder: Server;
  let port: number;
  beforeEach(async () => {
    holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    port = (holder.address() as AddressInfo).port;
  });
  afterEach(() => new Promise((resolve) => holder.close(resolve)));

  test('is reported with who holds it and which key to change', async () => {
    await expect(listen(() => undefined, port, 'network.internal_port')).rejects.toThrow(
      new RegExp(
        `address in use: port ${port} of 127\\.0\\.0\\.1 is held by \\S.* \\(process ${process.pid}\\); ` +
          'stop it, or set `network.internal_port` to a free port',
      ),
    );
  });

  test('has an owner, a free one has none', async () => {
    expect(portOwner(port)).toContain(`(process ${process.pid})`);
    await new Promise((resolve) => holder.close(resolve));
    expect(portOwner(port)).toBeUndefined();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
  });
});

test('the service listens on this machine’s loopback only', async () => {
  const { url } = await startTestService();
  await expect(fetch(url.replace('127.0.0.1', '127.0.0.2'))).rejects.toThrow();
  expect((await fetch(`${url}/health`)).status).toBe(200);
});

describe('close', () => {
  test('lets a running answer end, refuses new ones meanwhile, and says that it is not ready', async () => {
    let finish = () => {};
    const finished = new Promise<void>((resolve) => (finish = resolve));
    const engine = new ScriptedEngine(async function* (request, signal) {
      for await (const event of says('one', 'two')(request, signal)) {
        if (event.type === 'end') await finished;
        yield event;
      }
    });
    const { call, server, url } = await startTestService({ engine });
    const answer = await call(CHAT, STREAM);
    const closed = server.close(10_000);

    const refused = await call(CHAT, STREAM);
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('5');
    expect(await refused.json()).toMatchObject({ error: { code: 'shutting_down' } });
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
    expect((await fetch(`${url}/health`)).status).toBe(200);

    finish();
    expect(eventsOf(await answer.text()).at(-1)).toBe('[DONE]');
    await closed;
    await expect(fetch(`${url}/health`)).rejects.toThrow();
  });

  test('cuts answers short at its limit, and tells their readers', async () => {
    const engine = new ScriptedEngine(neverEnds());
    const { call, server } = await startTestService({ engine });
    const answer = await call(CHAT, STREAM);
    const startedAt = Date.now();
    const closed = server.close(200);
    expect(eventsOf(await answer.text()).at(-1)).toContain('"code":"shutting_down"');
    await closed;
    expect(Date.now() - startedAt).toBeLessThan(5000);
    expect(engine.cancelled).toHaveLength(1);
  });

  test('is not held up by a reader that has stopped reading', async () => {
    const engine = new ScriptedEngine(async function* (_request, signal) {
      yield { type: 'start', promptTokens: 1, cachedTokens: 0 };
      while (!signal.aborted) {
        yield { type: 'text', text: 'y'.repeat(65_536), tokens: 1 };
        await sleep(1);
      }
    });
    const { call, server } = await startTestService({ engine });
    const leaving = new AbortController();
    await call(CHAT, STREAM, { signal: leaving.signal });
    await sleep(300);
    await server.close(100);
    leaving.abort();
    await until(() => engine.status().running === 0);
  });
});

describe('a server in whose place another one answers', () => {
  /** A request that stops in the middle of its body; `rest` sends what is missing. */
  async function halfARequest(url: string): Promise<{ rest: () => Promise<string> }> {
    const body = JSON.stringify({ model: 'test-model', messages: [{ role: 'user', content: 'Hi' }] });
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.write(
      `POST ${CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${API_KEY}\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body.slice(0, 10)}`,
    );
    await sleep(100);
    return {
      rest: async () => {
        socket.write(body.slice(10));
        await new Promise((resolve) => socket.once('close', resolve));
        return text;
      },
    };
  }

  test('answers what is on its way, and takes nothing new', async () => {
    const { server, url } = await startTestService();
    const request = await halfARequest(url);
    let isOver = false;
    const retired = server.retire(new AbortController().signal).then(() => (isOver = true));
    // Longer than connections are kept on which nothing comes.
    await sleep(3500);
    expect(isOver).toBe(false);
    await expect(fetch(`${url}/health`, { headers: { connection: 'close' } })).rejects.toThrow();
    const answer = await request.rest();
    expect(answer).toMatch(/^HTTP\/1\.1 200 [^]*\r\nConnection: close\r\n/);
    await retired;
  });

  test('gives up at its limit', async () => {
    const { server, url } = await startTestService({ engine: new ScriptedEngine(neverEnds()) });
    const answer = fetch(url + CHAT, {
      method: 'POST',
      headers: { Authorization: `Bearer ${API_KEY}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ ...STREAM, stream: false }),
    });
    await sleep(100);
    await server.retire(AbortSignal.timeout(100));
    expect((await answer).status).toBe(503);
  });
});

describe('a listening socket that came from another process', () => {
  async function oneThatCame(): Promise<{ inherited: Inherited; port: number }> {
    const before = createServer();
    await new Promise<void>((resolve) => before.listen(0, '127.0.0.1', resolve));
    const { port } = before.address() as AddressInfo;
    const inherited = new Inherited();
    inherited.add(port, before);
    return { inherited, port };
  }

  test('loses nobody who connects before it is listened on, or is kept aside', async () => {
    const { inherited, port } = await oneThatCame();
    const ask = () => {
      const socket = connect(port, '127.0.0.1');
      socket.end('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
      return new Promise<string>((resolve) => {
        let text = '';
        socket.on('data', (chunk) => (text += chunk.toString())).once('close', () => resolve(text));
      });
    };
    const early = [ask(), ask()];
    await sleep(100);
    const listener = await listen(
      (_request, response) => response.end('here'),
      port,
      'x',
      inherited.take(port),
    );
    inherited.close();
    for (const answer of [...early, ask()]) expect(await answer).toMatch(/^HTTP\/1\.1 200 [^]*here/);

    listener.hold();
    let isAnswered = false;
    const held = [ask(), ask()];
    void held[0]?.then(() => (isAnswered = true));
    await sleep(100);
    expect(isAnswered).toBe(false);
    listener.release();
    for (const answer of [...held, ask()]) expect(await answer).toMatch(/^HTTP\/1\.1 200 [^]*here/);
    await listener.close();
  });

  test('is closed where nobody wants it', async () => {
    const { inherited, port } = await oneThatCame();
    inherited.close();
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
  });
});
