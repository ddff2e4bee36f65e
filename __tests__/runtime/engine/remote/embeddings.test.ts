import type { EmbedRequest } from '../../../../runtime/src/engine/engine';
import { END, DONE, refuse, remoteService, stream, text, type Answer } from '../../support/remote-service';

const service = remoteService();

const REQUEST: EmbedRequest = { id: 'e', inputs: ['Hi', [1, 2]], dimensions: 2 };
const never = new AbortController().signal;
const JSON_TYPE = { 'Content-Type': 'application/json' };

const endpoint = (path: string) => service.endpoint.replace('/v1/chat', path);
const vectors = (...embeddings: readonly unknown[]) => ({
  data: embeddings.map((embedding, index) => ({ index, embedding })),
  usage: { prompt_tokens: 5 },
});

describe('embeddings of a remote service', () => {
  test('are asked for beside the chat route, and come back as they are', async () => {
    const paths: (string | undefined)[] = [];
    service.answer = (req, res) => {
      paths.push(req.url);
      const isChat = req.url?.endsWith('/chat/completions') === true;
      const embeddings = refuse(200, vectors([1, 0], [0.5, 0.25]), JSON_TYPE);
      (isChat ? stream(text('OK'), END, DONE) : embeddings)(req, res);
    };
    const engine = await service.started({ endpoint: endpoint('/v1/chat/completions') });
    expect(engine.model.makes).toBe('both');
    expect(await engine.embed(REQUEST, never)).toEqual({
      vectors: [Float32Array.of(1, 0), Float32Array.of(0.5, 0.25)],
      promptTokens: 5,
    });
    expect(paths).toEqual(['/v1/chat/completions', '/v1/embeddings']);
    const body = { model: 'big', input: ['Hi', [1, 2]], encoding_format: 'float', dimensions: 2 };
    expect(service.asked.map((asked) => asked.body)).toEqual([body]);
  });

  test('prove themselves at the start where the configuration names their route', async () => {
    service.answer = refuse(200, vectors([1, 0]), JSON_TYPE);
    const engine = await service.started({ endpoint: endpoint('/v1/embeddings') });
    expect(engine.model.makes).toBe('embeddings');
  });

  test('cannot be had from an address that says nothing of them', async () => {
    const engine = await service.started();
    expect(engine.model.makes).toBe('text');
    await expect(engine.embed(REQUEST, never)).rejects.toMatchObject({ code: 'embeddings_refused' });
  });

  test.each<[string, Answer, string]>([
    ['a service without them', refuse(404), 'embeddings_refused'],
    ['a request that it refuses', refuse(400, { error: { message: 'no' } }, JSON_TYPE), 'upstream_refused'],
    ['a service that is down', refuse(500), 'upstream_failed'],
    ['a vector too few', refuse(200, vectors([1]), JSON_TYPE), 'upstream_failed'],
    ['no numbers', refuse(200, vectors(['x'], [1]), JSON_TYPE), 'upstream_failed'],
    ['no list', refuse(200, { data: { 0: 1 } }, JSON_TYPE), 'upstream_failed'],
    ['no JSON', refuse(200, '<html>', JSON_TYPE), 'upstream_failed'],
  ])('%s is told as what it is', async (_name, answer, code) => {
    service.answer = stream(text('OK'), END, DONE);
    const engine = await service.started({ endpoint: endpoint('/v1/chat/completions') });
    service.answer = answer;
    await expect(engine.embed(REQUEST, never)).rejects.toMatchObject({ code });
    expect(engine.status().running).toBe(0);
    expect(service.logged.at(-1)).toContain('req=e the remote service failed: ');
  });
});
