import type { LlamaModel, Token } from 'node-llama-cpp';
import { messageOf } from '../errors/message-of.js';
import { AnswerRulesMaker, type AnswerRules } from './answer-rules.js';
import { canGoBack } from './attention-window.js';
import { BatchFilling } from './batch-filling.js';
import { Embedder } from './embedder.js';
import type { EngineErrorCode, GenerateRequest } from './engine.js';
import { Evaluator } from './evaluator.js';
import { loadModel, type LoadedContext, type LoadedEmbedder } from './load-model.js';
import type { MemoryPlan } from './memory-plan.js';
import { nativeContext, newNativeSampler } from './native.js';
import { PromptCache } from './prompt-cache.js';
import { promptCacheBytes } from './prompt-cache-size.js';
import { PromptRenderer, type RenderedPrompt } from './prompt.js';
import type { ErrorDetails, FromChild, LoadedModel, RequestEvent, ToChild } from './protocol.js';
import { Scheduler } from './scheduler.js';
import { SequencePlacement } from './sequence-placement.js';
import { Speculation } from './speculation.js';
import { StepPlanner } from './step-planner.js';
import { ThreadGovernor } from './thread-governor.js';
import { UnusableModel } from './unusable-model.js';
import { warmUp } from './warm-up.js';
import type { ModelSettings } from './options.js';

/**
 * The process that evaluates. It has a process of its own because llama.cpp can take it down, and because the thread
 * pool must have one thread (UV_THREADPOOL_SIZE=1): evaluation that hops between threads runs at a third of the
 * speed, and every file or DNS job of a shared pool would wait behind it.
 */

/** Characters of a long token: texts have four a token, seldom more than six. */
const LONG_TOKEN = 8;

interface WritingModel {
  readonly kind: 'text';
  readonly work: Scheduler;
  readonly model: LlamaModel;
  readonly prompts: PromptRenderer;
  readonly rules: AnswerRulesMaker;
  readonly contextSize: number;
}

interface EmbeddingModel {
  readonly kind: 'embeddings';
  readonly work: Embedder;
}

let running: WritingModel | EmbeddingModel | undefined;

function send(message: FromChild): void {
  // Without the parent there is nobody to work for: `disconnect` ends the process.
  if (process.connected) process.send?.(message);
}

const warn = (text: string): void => send({ type: 'log', level: 'WRN', text });

const emit = (events: readonly RequestEvent[]): void => send({ type: 'events', events });

async function load(settings: ModelSettings, memory: MemoryPlan): Promise<void> {
  try {
    const loaded = await loadModel(settings, memory, warn);
    const model =
      loaded.kind === 'text'
        ? await startWriting(loaded, { settings, memory })
        : await startEmbedding(loaded, settings.threads);
    const { contextSize, sequences, kvCacheType } = loaded.settings;
    send({ type: 'ready', model, fitted: { contextSize, sequences, kvCacheType } });
  } catch (error) {
    if (!(error instanceof UnusableModel)) throw error;
    send({ type: 'unusable', message: error.message, details: error.details });
  }
}

async function startWriting(
  { model, context, sequences, emptyBytes, notes }: LoadedContext,
  { settings, memory }: { readonly settings: ModelSettings; readonly memory: MemoryPlan },
): Promise<LoadedModel> {
  const evaluator = new Evaluator(nativeContext(context), () => newNativeSampler(model));
  const threads = new ThreadGovernor({
    most: settings.threads,
    setThreads: (count) => evaluator.setThreads(count),
  });
  const prompts = new PromptRenderer(model);
  const planner = new StepPlanner({ batchSize: settings.batchSize });
  const cacheSize = await promptCacheBytes(settings, {
    ...memory,
    reservedBytes: memory.reservedBytes + emptyBytes,
  });
  const goesBack = canGoBack(model);
  const times = await warmUp({ model, sequences, evaluator, goesBack, planner, threads });
  const work = new Scheduler({
    sequences: sequences.length,
    placement: new SequencePlacement(sequences, new PromptCache(cacheSize.bytes)),
    model,
    contextSize: context.contextSize,
    evaluator,
    filling: times === undefined ? undefined : new BatchFilling(times),
    speculation: times !== undefined && settings.promptLookup ? new Speculation(times) : undefined,
    goesBack,
    planner,
    threads,
    emit,
  });
  const rules = new AnswerRulesMaker(model, prompts.toolForm);
  running = { kind: 'text', work, model, prompts, rules, contextSize: context.contextSize };
  return {
    makes: 'text',
    contextSize: context.contextSize,
    sequences: sequences.length,
    notes: [...notes, cacheSize.note, `chat template: ${prompts.format}`],
  };
}

async function startEmbedding(
  { model, context, settings: { contextSize, sequences }, notes }: LoadedEmbedder,
  most: number,
): Promise<LoadedModel> {
  const { llama } = model;
  const threads = new ThreadGovernor({ most, setThreads: (count) => (llama.maxThreads = count) });
  const work = new Embedder({ context, contextSize, sequences, threads, emit });
  // Proof that it works, before it is said to.
  const { values } = await work.vector('one two three');
  running = { kind: 'embeddings', work };
  const dimensions = values.length;
  return {
    makes: 'embeddings',
    contextSize,
    sequences,
    dimensions,
    notes: [...notes, `${dimensions} dimensions`],
  };
}

function generate(id: number, request: GenerateRequest): void {
  if (running === undefined) throw new Error('a request came before the model was ready');
  if (running.kind === 'embeddings') {
    refuse(id, 'text_refused', 'the model makes embeddings and does not write', {});
    return;
  }
  const { work: scheduler, model, prompts, rules: rulesMaker, contextSize } = running;
  let prompt: RenderedPrompt;
  let rules: AnswerRules | undefined;
  try {
    rules = rulesMaker.make(request);
  } catch (error) {
    refuse(id, 'format_refused', `llama.cpp refuses the grammar: ${messageOf(error)}`, {});
    return;
  }
  try {
    prompt = prompts.render(request);
  } catch (error) {
    refuse(id, 'prompt_refused', `The model's chat template refuses these messages: ${messageOf(error)}`, {});
    return;
  }
  const promptTokens = prompt.tokens.length;
  if (promptTokens >= contextSize) {
    refuse(
      id,
      'context_length_exceeded',
      `This model's context is ${contextSize} tokens and the prompt alone has ${promptTokens}; shorten the messages`,
      { promptTokens, contextSize },
    );
    return;
  }
  const { prediction } = request;
  scheduler.submit({
    id,
    request,
    tokens: prompt.tokens,
    stop: [...request.stop, ...prompt.stop],
    cancelled: false,
    ...(rules === undefined ? {} : { rules }),
    ...(prediction === undefined ? {} : { prediction: tokensOf(prediction, model, contextSize) }),
  });
}

/** More than the context holds cannot become of it, and reading a megabyte would hold everybody up. */
function tokensOf(prediction: string, model: LlamaModel, contextSize: number): readonly Token[] {
  return model.tokenize(prediction.slice(0, LONG_TOKEN * contextSize)).slice(0, contextSize);
}

function refuse(id: number, code: EngineErrorCode, message: string, details: ErrorDetails): void {
  emit([[id, { type: 'error', code, message, details }]]);
}

process.on('message', (message: ToChild) => {
  switch (message.type) {
    case 'load':
      void load(message.settings, message.memory);
      break;
    case 'generate':
      generate(message.id, message.request);
      break;
    case 'embed':
      if (running?.kind === 'embeddings') running.work.submit(message.id, message.inputs);
      else refuse(message.id, 'embeddings_refused', 'the model makes no embeddings', {});
      break;
    case 'cancel':
      running?.work.cancel(message.id);
      break;
    case 'ping':
      send({
        type: 'pong',
        stepMs: running?.work.stepMs ?? 0,
        ...(running?.kind === 'text'
          ? { promptCache: running.work.promptCache, drafts: running.work.stats.drafts }
          : {}),
      });
      break;
    case 'stats':
      if (running?.kind === 'text') send({ type: 'stats', stats: running.work.stats });
      break;
    case 'stop':
      void Promise.resolve(running?.work.stop()).then(() => process.exit(0));
      break;
  }
});

// Without a listener, a write beyond the limit on the size of files ends the process; with one, the write fails.
let isLimitTold = false;
process.on('SIGXFSZ', () => {
  if (isLimitTold) return;
  isLimitTold = true;
  warn(
    'a file became as large as it may (ulimit -f, LimitFSIZE of the unit): conversations are not kept in the prompt ' +
      'cache, or weights not in their faster form',
  );
});

// Ctrl-C and systemd's stop signal reach the whole group; when to end is the parent's decision (it drains first).
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

// The parent is gone, perhaps killed. Not process.exit(): it would wait for the evaluation that is under way.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
