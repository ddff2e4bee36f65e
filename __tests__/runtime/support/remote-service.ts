/** A chat service on loopback that does what a test says, and remembers what it was asked. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { configSchema } from '../../../runtime/src/config/schema';
import { RemoteEngine, type RemoteEngineOptions } from '../../../runtime/src/engine/remote-engine';

export type Answer = (req: IncomingMessage, res: ServerResponse) => void;

export interface Asked {
  readonly headers: IncomingMessage['headers'];
  readonly body: Record<string, unknown>;
  /** Connections are numbered from 1 in the order in which they came. */
  readonly connection: number;
}

export const END = { choices: [{ delta: {}, finish_reason: 'length' }] };
export const DONE = 'data: [DONE]\n\n';

export const text = (content: string) => ({ choices: [{ delta: { content }, finish_reason: null }] });

export const stream =
  (...pieces: readonly (object | string)[]): Answer =>
  (_req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    for (const piece of pieces) res.write(toEvent(piece));
    res.end();
  };

export const refuse =
  (status: number, body: object | string = '', headers: Record<string, string> = {}): Answer =>
  (_req, res) =>
    void res.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body));

/** Begins a stream with these pieces and leaves it open. */
export const beginning =
  (...pieces: readonly (object | string)[]): Answer =>
  (_req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders();
    for (const piece of pieces) res.write(toEvent(piece));
  };

export const toEvent = (piece: object | string): string =>
  typeof piece === 'string' ? piece : `data: ${JSON.stringify(piece)}\n\n`;

export class RemoteService {
  answer: Answer = stream(END, DONE);
  readonly asked: Asked[] = [];
  readonly logged: string[] = [];
  connections = 0;
  #server: Server | undefined;
  #port = 0;
  readonly #engines: RemoteEngine[] = [];

  /** Listens on the same port again after `stop`. */
  async start(): Promise<void> {
    const numbers = new WeakMap<object, number>();
    const server = createServer((req, res) => {
      let body = '';
      req.on('data', (bytes: Buffer) => (body += bytes.toString()));
      req.on('end', () => {
        const connection = numbers.get(req.socket) ?? 0;
        this.asked.push({
          headers: req.headers,
          body: JSON.parse(body) as Record<string, unknown>,
          connection,
        });
        this.answer(req, res);
      });
    });
    server.on('connection', (socket) => numbers.set(socket, ++this.connections));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }

  async end(): Promise<void> {
    await Promise.all(this.#engines.splice(0).map((engine) => engine.stop()));
    await this.stop();
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}/v1/chat`;
  }

  /** An engine that uses it; `service` is what the configuration says beside the endpoint. */
  engine(service: object = {}, options: Partial<RemoteEngineOptions> = {}): RemoteEngine {
    const engine = new RemoteEngine({
      service: serviceConfig({ endpoint: this.endpoint, ...service }),
      model: 'big',
      contextSize: 4096,
      sequences: 1,
      log: (_level, line) => this.logged.push(line),
      ...options,
    });
    this.#engines.push(engine);
    return engine;
  }

  /** The same, started. */
  async started(service: object = {}, options: Partial<RemoteEngineOptions> = {}): Promise<RemoteEngine> {
    const engine = this.engine(service, options);
    await engine.start();
    this.asked.splice(0);
    return engine;
  }
}

/** With the schema's defaults, as the service reads it. */
export function serviceConfig(service: object): RemoteEngineOptions['service'] {
  const auth = { type: 'bearer', token: 'model-api-token' };
  const config = configSchema.parse({
    api_key: '0123456789abcdef',
    remote_service: { auth, ...service },
  });
  return config.remote_service!;
}

/** Call at the top of a test file. */
export function remoteService(): RemoteService {
  const service = new RemoteService();
  beforeEach(async () => {
    service.answer = stream(END, DONE);
    service.asked.splice(0);
    service.logged.splice(0);
    service.connections = 0;
    await service.start();
  });
  afterEach(() => service.end());
  return service;
}
