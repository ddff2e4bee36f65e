// @ts-nocheck: run by Node as it is, never compiled.
// Stands in for the engine's child where the point is how a child is supervised. What it does is named by the
// "model": each word of the path's last part is one of the cases below.
import { existsSync, writeFileSync } from 'node:fs';

const behaviours = {
  /** Dies while it loads. */
  'dies-loading': () => {
    process.stderr.write('GGML_ASSERT(it broke) failed\n');
    process.kill(process.pid, 'SIGKILL');
  },
  unusable: () => process.send({ type: 'unusable', message: 'the file is no model', details: { path: 'x' } }),
  ready: (path) => {
    // Two words, so that a test can tell its engines apart.
    const contextSize = path.includes('second') ? 32 : 64;
    const fitted = { contextSize, sequences: 2, kvCacheType: 'q8_0' };
    process.send({ type: 'ready', model: { contextSize, sequences: 2, notes: ['a note'] }, fitted });
    // Ready once: the next child finds this mark and dies while it loads.
    if (path.includes('once')) writeFileSync(`${path}.mark`, '');
  },
};

let settings;
let memory;

process.on('message', (message) => {
  switch (message.type) {
    case 'load': {
      ({ settings, memory } = message);
      const path = settings.modelPath;
      const name = path.split('/').at(-1);
      if (name.includes('once') && existsSync(`${path}.mark`)) behaviours['dies-loading']();
      for (const [word, behaviour] of Object.entries(behaviours)) if (name.includes(word)) behaviour(path);
      break;
    }
    case 'ping':
      process.send({ type: 'pong', stepMs: 0 });
      break;
    case 'generate': {
      const { id, request } = message;
      const usage = { promptTokens: 1, cachedTokens: 0, completionTokens: 1 };
      if (request.input.prompt === 'die') process.exit(3);
      if (request.input.prompt?.startsWith('until ')) {
        process.send({ type: 'events', events: [[id, { type: 'start', promptTokens: 1, cachedTokens: 0 }]] });
        // Answers when the test says so, by a file.
        const mark = request.input.prompt.slice('until '.length);
        const timer = setInterval(() => {
          if (!existsSync(mark)) return;
          clearInterval(timer);
          process.send({ type: 'events', events: [[id, { type: 'end', finishReason: 'stop', usage }]] });
        }, 10);
        break;
      }
      const told = { environment: process.env, settings, memory }[request.input.prompt];
      if (told !== undefined) {
        const text = JSON.stringify(told);
        process.send({
          type: 'events',
          events: [
            [id, { type: 'start', promptTokens: 1, cachedTokens: 0 }],
            [id, { type: 'text', text, tokens: 1 }],
            [id, { type: 'end', finishReason: 'stop', usage }],
          ],
        });
      } else {
        process.send({ type: 'events', events: [[id, { type: 'start', promptTokens: 1, cachedTokens: 0 }]] });
      }
      break;
    }
    case 'cancel':
      process.send({ type: 'events', events: [[message.id, { type: 'cancelled' }]] });
      break;
    case 'stop':
      process.exit(0);
  }
});
process.on('disconnect', () => process.exit(0));
