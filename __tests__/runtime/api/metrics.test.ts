import { get } from 'node:http';

import type { RequestFigures } from '../../../runtime/src/metrics/cloudwatch';
import { ScriptedEngine } from '../support/scripted-engine';
import { startTestService, stopTestServices, until } from '../support/test-service';

stopTestServices();

const BODY = { model: 'test-model', messages: [{ role: 'user', content: 'Hi' }] };

describe('the figures for CloudWatch', () => {
  test('come from chats and from refusals, not from probes', async () => {
    const figures: RequestFigures[] = [];
    const { call } = await startTestService({ recordRequest: (each) => figures.push(each) });
    await (await call('/v1/chat/completions', BODY)).text();
    await (await call('/v1/chat/completions', { ...BODY, model: 'other' })).text();
    for (const path of ['/health', '/readyz', '/metrics', '/nowhere']) await (await call(path)).text();
    await until(() => figures.length === 2);
    const seconds = expect.any(Number) as number;
    expect(figures).toEqual([
      {
        failed: false,
        firstTokenSeconds: seconds,
        tokenSeconds: seconds,
        totalSeconds: seconds,
        tokens: 2,
      },
      { failed: false },
    ]);
  });

  test('call an answer failed that the engine could not give', async () => {
    const figures: RequestFigures[] = [];
    const engine = new ScriptedEngine();
    engine.state = 'loading';
    const { call } = await startTestService({ engine, recordRequest: (each) => figures.push(each) });
    expect((await call('/v1/chat/completions', BODY)).status).toBeGreaterThanOrEqual(500);
    await until(() => figures.length === 1);
    expect(figures[0]).toMatchObject({ failed: true });
  });
});

describe('/metrics', () => {
  test('counts tokens, times and requests', async () => {
    const { call, url } = await startTestService();
    await (await call('/v1/chat/completions', BODY)).text();
    await (await call('/v1/chat/completions', { ...BODY, model: 'other' })).text();
    const text = await (await fetch(`${url}/metrics`)).text();
    const lines = text.split('\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        'botstack_prompt_tokens_total{model="test-model"} 7',
        'botstack_prompt_tokens_cached_total{model="test-model"} 3',
        'botstack_generation_tokens_total{model="test-model"} 2',
        'botstack_time_to_first_token_seconds_count{model="test-model"} 1',
        'botstack_inter_token_latency_seconds_count{model="test-model"} 1',
        'botstack_e2e_request_latency_seconds_count{model="test-model"} 1',
        'botstack_request_queue_time_seconds_count{model="test-model"} 1',
        'botstack_num_requests_running{model="test-model"} 0',
        'botstack_num_requests_waiting{model="test-model"} 0',
        'botstack_engine_ready{model="test-model"} 1',
        'botstack_engine_restarts{model="test-model"} 3',
        `botstack_build_info{version="0.0.0-test",node="${process.versions.node}",model="test-model"} 1`,
        'botstack_requests_total{route="/v1/chat/completions",status="200",code=""} 1',
        'botstack_requests_total{route="/v1/chat/completions",status="404",code="model_not_found"} 1',
      ]),
    );
    expect(text).toMatch(/^process_resident_memory_bytes /m);
  });

  test('tells what the prompt cache holds, and nothing of one that is not there', async () => {
    const { engine, url } = await startTestService();
    expect(await (await fetch(`${url}/metrics`)).text()).not.toMatch(/^botstack_prompt_cache_/m);
    engine.promptCache = { limitBytes: 1000, bytes: 700, conversations: 3, hits: 5, evictions: 2 };
    const lines = (await (await fetch(`${url}/metrics`)).text()).split('\n');
    expect(lines.filter((line) => line.startsWith('botstack_prompt_cache_'))).toEqual([
      'botstack_prompt_cache_bytes{model="test-model"} 700',
      'botstack_prompt_cache_limit_bytes{model="test-model"} 1000',
      'botstack_prompt_cache_conversations{model="test-model"} 3',
      'botstack_prompt_cache_hits_total{model="test-model"} 5',
      'botstack_prompt_cache_evictions_total{model="test-model"} 2',
    ]);
  });

  test('tells what guessing brought', async () => {
    const { engine, url } = await startTestService();
    expect(await (await fetch(`${url}/metrics`)).text()).not.toMatch(/^botstack_spec_decode_/m);
    engine.drafts = { tokens: 30, accepted: 12 };
    const lines = (await (await fetch(`${url}/metrics`)).text()).split('\n');
    expect(lines.filter((line) => line.startsWith('botstack_spec_decode_'))).toEqual([
      'botstack_spec_decode_num_draft_tokens_total{model="test-model"} 30',
      'botstack_spec_decode_num_accepted_tokens_total{model="test-model"} 12',
    ]);
  });

  test('does not grow with the paths that strangers try', async () => {
    const { url } = await startTestService();
    for (let path = 0; path < 5; path++) await (await fetch(`${url}/${path}`)).text();
    const text = await (await fetch(`${url}/metrics`)).text();
    expect(text).toContain('botstack_requests_total{route="other",status="404",code="not_found"} 5');
  });

  test('needs a key as soon as a proxy is in between', async () => {
    const { call, url } = await startTestService();
    const proxied = { headers: { 'X-Forwarded-For': '203.0.113.9' } };
    expect((await fetch(`${url}/metrics`)).status).toBe(200);
    expect((await fetch(`${url}/metrics`, proxied)).status).toBe(401);
    expect((await call('/metrics', undefined, proxied)).status).toBe(200);
  });

  test('needs a key when the name asked for is not this machine’s own', async () => {
    const { server } = await startTestService();
    const status = await new Promise((resolve) => {
      // fetch does not let a caller choose the Host header.
      const options = {
        port: server.apiPort,
        host: '127.0.0.1',
        path: '/metrics',
        headers: { Host: 'evil.example' },
      };
      get(options, (response) => resolve(response.resume().statusCode));
    });
    expect(status).toBe(401);
  });
});
