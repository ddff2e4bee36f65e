import { join } from 'node:path';
import { writeFileSync } from 'node:fs';

import { Redis } from '../../../runtime/node_modules/ioredis';
import { temporaryFolder } from '../../support/temporary-folder';
import { describeWithRedis, useRedis } from '../support/redis';
import { neverEnds, says, ScriptedEngine } from '../support/scripted-engine';
import { eventsOf, literalKeys, startTestService, stopTestServices, until } from '../support/test-service';

stopTestServices();

const folder = temporaryFolder();

interface Answer {
  choices: { message: { content: string } }[];
  usage: { prompt_tokens_details: { cached_tokens: number } };
}

async function start(cache: object, engine = new ScriptedEngine(), stateDirectory?: string) {
  const service = await startTestService({
    engine,
    config: { model_path: __filename, cache },
    ...(stateDirectory === undefined ? {} : { stateDirectory }),
  });
  const ask = async (extra: object = {}, content = 'What is asked here?') => {
    const messages = [{ role: 'user', content }];
    const request = { model: 'test-model', messages, temperature: 0, ...extra };
    const response = await service.call('/v1/chat/completions', request);
    return { cache: response.headers.get('x-cache'), response };
  };
  return { ...service, ask };
}

const MEMORY = { store: 'memory' };

describe('the response cache', () => {
  test('answers what is deterministic and was asked before, without the engine', async () => {
    const { ask, engine, logged, call } = await start(MEMORY);
    for (const extra of [{}, { temperature: 1, seed: 7 }]) {
      const first = await ask(extra);
      const second = await ask(extra);
      expect([first.cache, second.cache]).toEqual(['miss', 'hit']);
      const [a, b] = [(await first.response.json()) as Answer, (await second.response.json()) as Answer];
      expect(b.choices).toEqual(a.choices);
      expect(b.usage).toMatchObject({ prompt_tokens: 7, completion_tokens: 2 });
      expect(b.usage.prompt_tokens_details.cached_tokens).toBe(7);
    }
    expect(engine.requests).toHaveLength(2);
    expect(logged().filter((line) => line.includes('cache=hit'))).toHaveLength(2);
    expect(await (await call('/metrics')).text()).toContain(
      'botstack_response_cache_lookups_total{result="hit"} 2',
    );
  });

  test('gives the same answer streamed', async () => {
    const { ask, engine } = await start(MEMORY);
    await (await ask()).response.text();
    const streamed = await ask({ stream: true, stream_options: { include_usage: true } });
    expect(streamed.cache).toBe('hit');
    expect(streamed.response.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const events = eventsOf(await streamed.response.text());
    expect(events.at(-1)).toBe('[DONE]');
    const text = events
      .slice(0, -1)
      .map((event) => JSON.parse(event) as { choices: { delta: { content?: string } }[] })
      .map(({ choices }) => choices[0]?.delta.content ?? '');
    expect(text.join('')).toBe('Hello there');
    expect(engine.requests).toHaveLength(1);
  });

  test('leaves alone what chance has a part in', async () => {
    const { ask, engine } = await start(MEMORY);
    for (const time of [1, 2]) {
      expect((await ask({ temperature: 0.5 })).cache).toBeNull();
      expect(engine.requests).toHaveLength(time);
    }
  });

  test.each([
    ['the prompt', {}, 'What else?'],
    ['the length', { max_tokens: 5 }, undefined],
    ['the seed', { seed: 1 }, undefined],
    ['a stop', { stop: 'x' }, undefined],
  ])('takes another %s for another request', async (_what, extra, content) => {
    const { ask } = await start(MEMORY);
    await ask();
    expect((await ask(extra, content)).cache).toBe('miss');
  });

  test('is off unless it is asked for', async () => {
    const { ask } = await start({});
    await ask();
    expect((await ask()).cache).toBeNull();
  });

  test('does not keep an answer that time has cut off', async () => {
    writeFileSync(join(folder(), 'policy.yaml'), 'sessions: { longest_request_seconds: 1 }');
    const { ask } = await start(MEMORY, new ScriptedEngine(neverEnds()), folder());
    await ask();
    expect((await ask()).cache).toBe('miss');
  });

  test('answers while the engine is restarting, and under the policy of today', async () => {
    const { ask, engine } = await start(MEMORY, new ScriptedEngine(says('a secret word')), folder());
    await ask();
    engine.changeState('restarting');
    writeFileSync(
      join(folder(), 'policy.yaml'),
      'words: [{ name: w, action: mask, on: [output], words: [secret] }]',
    );
    const deadline = performance.now() + 40_000;
    let content: string | undefined;
    while (content !== 'a *** word' && performance.now() < deadline) {
      const { response } = await ask();
      content = ((await response.json()) as Answer).choices[0]?.message.content;
    }
    expect(content).toBe('a *** word');
  });
});

describeWithRedis('the response cache in Redis', () => {
  const startRedis = useRedis();

  test('is shared by services, and shows neither question nor answer to Redis', async () => {
    const redis = await startRedis();
    const config = { store: 'redis', redis_url: redis.url, ttl_seconds: 60 };
    const one = await start(config);
    const other = await start(config);
    expect((await one.ask()).cache).toBe('miss');
    const hit = await other.ask();
    expect(hit.cache).toBe('hit');
    expect(((await hit.response.json()) as Answer).choices[0]?.message.content).toBe('Hello there');
    expect(other.engine.requests).toEqual([]);

    const client = new Redis(redis.url);
    const [key = ''] = await client.keys('*');
    expect(key).toMatch(/^botstack:answer:[\w-]{43}$/);
    expect((await client.getBuffer(key))?.includes('Hello')).toBe(false);
    expect(await client.ttl(key)).toBeGreaterThan(50);
    client.disconnect();
  });

  test('that goes away means misses, not errors; one line says so, and one that it is back', async () => {
    const redis = await startRedis();
    const { ask, logged } = await start({ store: 'redis', redis_url: redis.url });
    await ask();
    expect((await ask()).cache).toBe('hit');
    await redis.kill();
    for (let time = 0; time < 3; time++) {
      const { cache, response } = await ask();
      expect([cache, response.status]).toEqual(['miss', 200]);
    }
    expect(logged().filter((line) => /\[WRN\] the response cache in Redis/.test(line))).toHaveLength(1);
    await redis.start();
    await until(() =>
      logged().some((line) => /\[INF\] the response cache in Redis can be used again/.test(line)),
    );
    // A command that takes too long on a busy machine is a miss as well.
    const seen: (string | null)[] = [];
    while (!seen.includes('hit') && seen.length < 10) seen.push((await ask()).cache);
    expect(seen).toContain('hit');
  });

  test('that is stopped in its tracks holds a request up for no more than a moment', async () => {
    const redis = await startRedis();
    const { ask, logged } = await start({ store: 'redis', redis_url: redis.url });
    await ask();
    redis.signal('SIGSTOP');
    const from = performance.now();
    const { cache, response } = await ask();
    expect([cache, response.status]).toEqual(['miss', 200]);
    // Without a limit it would be for ever. It is a fifth of a second, and what a busy machine makes of that.
    expect(performance.now() - from).toBeLessThan(10_000);
    redis.signal('SIGCONT');
    // What it has already is all that is asked for: nothing is written to it that could show that it works.
    const seen: (string | null)[] = [];
    while (!seen.includes('hit') && seen.length < 100) {
      seen.push((await ask()).cache);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(seen).toContain('hit');
    const said = logged().filter((line) => /response cache in Redis/.test(line));
    expect(said).toEqual([
      expect.stringMatching(/\[WRN\] .* cannot be used/),
      expect.stringMatching(/\[INF\] .* again/),
    ]);
  });

  test('that was never there does not keep the service from starting', async () => {
    const { ask } = await start({ store: 'redis', redis_url: 'redis://127.0.0.1:9' });
    const { cache, response } = await ask();
    expect([cache, response.status]).toEqual(['miss', 200]);
  });

  test('cannot be read by a service with another key', async () => {
    const redis = await startRedis();
    const config = { store: 'redis', redis_url: redis.url };
    await (await start(config)).ask();
    const stranger = await startTestService({
      config: { model_path: __filename, cache: config },
      keys: await literalKeys('another-key-0123456789'),
    });
    const answer = await stranger.call(
      '/v1/chat/completions',
      { model: 'test-model', messages: [{ role: 'user', content: 'What is asked here?' }], temperature: 0 },
      { headers: { Authorization: 'Bearer another-key-0123456789' } },
    );
    expect(answer.headers.get('x-cache')).toBe('miss');
  });
});
