import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { startChat } from '../../bench/chat-client';
import { ChatExchange } from '../../bench/chat-request';

let server: Server;
let asked: unknown[];
let answer: (res: ServerResponse) => void;

beforeEach(async () => {
  asked = [];
  server = createServer((req, res) => {
    let body = '';
    req.setEncoding('utf8').on('data', (text) => (body += text));
    req.on('end', () => {
      asked.push(JSON.parse(body));
      answer(res);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const endpoint = () => ({ port: (server.address() as AddressInfo).port, headers: {} });
const CHAT = { messages: [{ role: 'user', content: 'Hi' }], maxTokens: 3, seed: 7 } as const;

it('asks as people do, streamed or not', async () => {
  answer = (res) => void res.end('{}');
  for (const isStreamed of [true, false]) {
    const exchange = new ChatExchange(endpoint(), CHAT, { isStreamed, agent: false, timeoutMs: 5000 });
    await (await exchange.response).toArray();
    exchange.end();
  }
  const body = { model: 'bench', messages: CHAT.messages, max_tokens: 3, seed: 7, temperature: 0.7 };
  expect(asked).toEqual([{ ...body, stream: true, stream_options: { include_usage: true } }, body]);
});

it.each(['before the answer', 'within it'])('gives up a server that hangs %s', async (when) => {
  answer = (res) => (when === 'within it' ? void res.write('data: {}\n\n') : undefined);
  const exchange = new ChatExchange(endpoint(), CHAT, { isStreamed: true, agent: false, timeoutMs: 300 });
  const reading = exchange.response.then((response) => response.toArray());
  const failed = reading.catch((error: unknown) => exchange.causeOf(error));
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  expect(await failed).toMatchObject({ message: 'no end of the answer after 0.3 s: is the machine busy?' });
  expect(exchange.hasLeft).toBe(false);
});

it('takes what there was of an answer that it left', async () => {
  answer = (res) => void res.write('data: {"choices":[{"delta":{"content":"a"}}]}\n\n');
  const chat = startChat(endpoint(), CHAT);
  await chat.reached(1);
  chat.leave();
  expect(await chat.done).toMatchObject({ chunkAt: [expect.any(Number)], finishReason: undefined });
});
