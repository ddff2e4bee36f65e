import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { BareConnection, post } from '../../bench/bare-connection';

let server: Server;
let answer: (req: IncomingMessage, res: ServerResponse, body: string) => void;
let connections: number;

beforeEach(async () => {
  connections = 0;
  server = createServer((req, res) => {
    let body = '';
    req.setEncoding('utf8').on('data', (text) => (body += text));
    req.on('end', () => answer(req, res, body));
  }).listen(0, '127.0.0.1');
  server.on('connection', () => connections++);
  await once(server, 'listening');
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const port = () => (server.address() as AddressInfo).port;
const request = (body = '{}') => post('/v1/x', port(), { authorization: 'Bearer k' }, body);
const open = () => BareConnection.open(port(), 500);

it('sends what it was given, on one connection, and reads whole and streamed answers', async () => {
  const asked: unknown[] = [];
  answer = (req, res, body) => {
    asked.push([req.method, req.url, req.headers.authorization, req.headers['content-type'], body]);
    res.setHeader('X-Cache', 'hit');
    if (asked.length === 1) res.end('whole: ü');
    else {
      res.write('data: one\n\n');
      setTimeout(() => res.end('data: two\n\n'), 20);
    }
  };
  const connection = await open();
  const whole = await connection.ask(request('"Grüße"'));
  expect(whole).toMatchObject({ status: 200, headers: { 'x-cache': 'hit' }, body: 'whole: ü' });
  const streamed = await connection.ask(request());
  expect(streamed.body.match(/data: \w+/g)).toEqual(['data: one', 'data: two']);
  expect(streamed.ms).toBeGreaterThan(15);
  connection.close();
  expect(asked[0]).toEqual(['POST', '/v1/x', 'Bearer k', 'application/json', '"Grüße"']);
  expect(connections).toBe(1);
});

it('waits for the rest of a body that comes in several packets', async () => {
  answer = (_req, res) => {
    res.writeHead(201, { 'Content-Length': 6 });
    res.write('abc');
    setTimeout(() => res.end('def'), 30);
  };
  const connection = await open();
  expect(await connection.ask(request())).toMatchObject({ status: 201, body: 'abcdef' });
  connection.close();
});

it('gives up a server that hangs, and one that goes away', async () => {
  const connection = await open();
  answer = () => undefined;
  await expect(connection.ask(request())).rejects.toThrow('no end of the answer after 0.5 s');
  const another = await open();
  answer = (req) => void req.socket.destroy();
  await expect(another.ask(request())).rejects.toThrow('the connection ended before the answer');
});
