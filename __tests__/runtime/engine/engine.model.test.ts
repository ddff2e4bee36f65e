/** Requests that are cancelled and engines that die, with the real model. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { GenerateEvent } from '../../../runtime/src/engine/engine';
import { testModel } from '../../support/test-model';
import { CHILD, longPrompt, never, request, until, useModelEngine } from './support/model-engine';

const { engine, answer } = useModelEngine();

describe('cancelling', () => {
  it('frees the sequence within a step when an answer is cancelled', async () => {
    const controller = new AbortController();
    const events: GenerateEvent[] = [];
    const before = (await engine.stats()).decodeTokens;
    const running = (async () => {
      for await (const event of engine.generate(
        request('', { input: { prompt: 'An endless story:' }, maxTokens: 900 }),
        controller.signal,
      )) {
        events.push(event);
        if (events.length === 5) controller.abort(new Error('client left'));
      }
    })();
    await expect(running).rejects.toThrow('client left');
    await until(() => engine.status().running === 0);
    expect((await engine.stats()).decodeTokens - before).toBeLessThan(800);
  });

  it('stops reading a prompt when it is cancelled', async () => {
    const before = (await engine.stats()).prefillTokens;
    const controller = new AbortController();
    const reading = answer(request(longPrompt(900)), controller.signal);
    await until(() => engine.status().running === 1);
    controller.abort(new Error('client left'));
    await expect(reading).rejects.toThrow('client left');
    await until(() => engine.status().running === 0);
    expect((await engine.stats()).prefillTokens - before).toBeLessThan(800);
  });

  it('cancels when the loop is left early', async () => {
    for await (const event of engine.generate(request('Tell me everything.', { maxTokens: 500 }), never)) {
      if (event.type === 'text') break;
    }
    await until(() => engine.status().running === 0);
  });

  it('drops a waiting request that is cancelled', async () => {
    const controllers = [0, 1, 2, 3].map(() => new AbortController());
    const running = controllers.map((controller, n) =>
      answer(request('', { input: { prompt: `Saga ${n}:` }, maxTokens: 500 }), controller.signal).catch(
        () => undefined,
      ),
    );
    await until(() => engine.status().running === 4);
    const waiting = new AbortController();
    const fifth = answer(request('Hello'), waiting.signal);
    await until(() => engine.status().waiting === 1);
    waiting.abort(new Error('changed my mind'));
    await expect(fifth).rejects.toThrow('changed my mind');
    await until(() => engine.status().waiting === 0);
    controllers.forEach((controller) => controller.abort());
    await Promise.all(running);
    await until(() => engine.status().running === 0);
  });

  it('does not begin when the signal is aborted already', async () => {
    await expect(answer(request('Hi'), AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late');
  });
});

describe('a child that dies', () => {
  it('interrupts what runs, refuses what comes, and answers again after a restart', async () => {
    const states: string[] = [];
    const unsubscribe = engine.onState(({ state }) => states.push(state));
    const story = answer(request('', { input: { prompt: 'A story:' }, maxTokens: 900 }));
    await until(() => engine.status().running === 1);
    process.kill(engine.pid!, 'SIGKILL');
    await expect(story).rejects.toMatchObject({ code: 'engine_interrupted' });
    await expect(answer(request('Hi'))).rejects.toMatchObject({ code: 'engine_unavailable' });
    await until(() => engine.status().state === 'ready');
    expect(states).toEqual(['restarting', 'ready']);
    expect(engine.status().restarts).toBe(1);
    expect((await answer(request('Hello'))).text).not.toBe('');
    unsubscribe();
  });

  it('notices a child that hangs, and starts another', async () => {
    const hung = engine.pid!;
    const story = answer(request('', { input: { prompt: 'A story:' }, maxTokens: 900 }));
    await until(() => engine.status().running === 1);
    process.kill(hung, 'SIGSTOP');
    await expect(story).rejects.toMatchObject({ code: 'engine_interrupted' });
    await until(() => engine.status().state === 'ready');
    expect(engine.pid).not.toBe(hung);
    expect((await answer(request('Hello'))).text).not.toBe('');
  });

  it('ends when its parent is killed, in mid-answer too', async () => {
    const script = `
      const { createLocalEngine } = await import(process.argv[1]);
      const engine = createLocalEngine({ modelPath: process.argv[2], contextSize: 512, log: () => undefined });
      await engine.start();
      const request = { id: 'x', input: { prompt: 'A story:' }, maxTokens: 500, temperature: 0, topP: 1, stop: [],
        frequencyPenalty: 0, presencePenalty: 0 };
      for await (const event of engine.generate(request, new AbortController().signal)) {
        if (event.type === 'text') process.stdout.write(engine.pid + '\\n');
      }`;
    const parent = spawn(
      process.execPath,
      ['--input-type=module', '-e', script, join(dirname(CHILD), 'local-engine.js'), testModel().path],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const pid = await new Promise<number>((resolve) => {
      parent.stdout.once('data', (text: Buffer) => resolve(Number.parseInt(text.toString(), 10)));
    });
    expect(pid).toBeGreaterThan(1);
    parent.kill('SIGKILL');
    await until(() => !existsSync(`/proc/${pid}`));
  });
});
