/**
 * The configuration file's schema: every key that `/etc/bot/config.yaml` may hold, with its meaning, range and default.
 * Pure (zod only), so that the stack checks the file it renders with the same schema the service reads it by.
 */
import { z } from 'zod';

import { flag, integer, numberBetween, oneOf, text } from './fields.js';

/** Shorter keys can be guessed; the stack generates 32 characters and more. */
export const MIN_API_KEY_LENGTH = 16;

/** Each local one is a process of its own. */
const MOST_FURTHER_MODELS = 15;

const REDIS_URL = 'a rediss:// address (redis:// only for localhost)';

const apiKey = () =>
  text(512).min(MIN_API_KEY_LENGTH, {
    error: `a key of at least ${MIN_API_KEY_LENGTH} characters (make one: openssl rand -hex 32)`,
  });

const port = () => integer(1, 65535);

/** Labels of this deployment, shown in the console's status; they change nothing else. */
const service = z.strictObject({
  name: text(64).default('bot'),
  version: text(64).optional(),
});

const network = z.strictObject({
  /** The port that nginx opens to the users' network. The service itself never binds it. */
  external_port: port().default(18789),
  /** Where nginx speaks TLS: the service looks how long that certificate is valid. Default: it does not. */
  tls_port: port().optional(),
  /** Where the HTTP service listens, on 127.0.0.1 only. */
  internal_port: port().default(8000),
  /** Where the web console listens, on 127.0.0.1 only; reach it through a tunnel. 0 switches it off. */
  console_port: integer(0, 65535).default(8080),
  /** Whether nginx opens the console to a network: only then is X-Forwarded-For believed there. */
  console_proxied: flag().default(false),
});

const security = z.strictObject({
  /** The API key itself, or `${VAR}` to take it from the environment. */
  api_key: apiKey().optional(),
  /** Name or ARN of a Secrets Manager secret that holds the key as plain text; read with the instance role. */
  api_key_secret_id: z
    .string()
    .regex(/^[\w/+=.@:-]{1,2048}$/, { error: "a secret's name or ARN" })
    .optional(),
  /** Region of that secret. Default: $AWS_REGION, else the region named in the ARN. */
  region: z
    .string()
    .regex(/^[A-Za-z0-9_:.-]+$/, { error: 'an AWS region such as us-east-1' })
    .optional(),
  /** The cipher for what the service stores (the register of tokens): GCM, or CBC with an HMAC-SHA256. */
  encryption: oneOf(['AES-256-GCM', 'AES-256-CBC']).default('AES-256-GCM'),
});

/** Defaults of these are the engine's own: it fits them to the machine. */
const engine = z.strictObject({
  /** Tokens of context of each sequence. Memory grows with context_size x sequences. */
  context_size: integer(256, 131072).optional(),
  /** Requests evaluated at the same time; further ones wait. */
  sequences: integer(1, 32).optional(),
  /** Threads of computation. More than the machine's cores makes it slower. */
  threads: integer(1, 256).optional(),
  /** Tokens evaluated in one step while prompts are read. */
  batch_size: integer(32, 4096).optional(),
  flash_attention: flag().optional(),
  /** Weights in Q4_1 are evaluated in a form that is faster on x86. */
  repack: flag().optional(),
  /** Multiplies matrices with the service's own kernels, where there are some for the processor: the same, faster. */
  fast_kernels: flag().optional(),
  /** Guesses how answers go on from what stands in prompt and answer: the same answers, sooner. */
  prompt_lookup: flag().optional(),
  /** q8_0 halves the memory of f16, at a third of the reading speed. */
  kv_cache_type: oneOf(['f16', 'q8_0']).optional(),
  /** MiB of memory for conversations that lost their sequence to another; 0 switches it off. */
  prompt_cache_mib: integer(0, 1_048_576).optional(),
  /** Seconds in which the model has to be loaded and to answer; an engine that takes longer counts as hung. Default: 170, more from 10 GB on. */
  load_timeout_seconds: integer(10, 3600).optional(),
});

const limits = z.strictObject({
  /** Requests that may wait for a sequence. Beyond, the answer is 429 with Retry-After. */
  max_queue: integer(0, 1000).default(16),
  /** Seconds from arrival after which an answer ends with what it has (finish_reason `length`). */
  max_request_seconds: integer(1, 3600).default(300),
});

const remoteTimeouts = z.strictObject({
  /** Seconds to a connection, TLS included. */
  connect_seconds: numberBetween(0.1, 300).default(5),
  /** Seconds from the request to the first byte of its answer: the remote queue, and the reading of the prompt. */
  first_byte_seconds: numberBetween(0.1, 3600).default(60),
  /** Seconds of silence in the middle of an answer. */
  idle_seconds: numberBetween(0.1, 3600).default(30),
});

const remoteService = z.strictObject({
  /** Full address of an OpenAI-compatible chat completions route. Plain http only on this machine. */
  endpoint: z.string({ error: 'an https address' }).refine(isSafeEndpoint, {
    error: 'an https address without user and password (http only for localhost)',
  }),
  auth: z.strictObject({
    /** bearer and jwt: `Authorization: Bearer`; api_key: `X-API-Key`. */
    type: oneOf(['bearer', 'jwt', 'api_key']),
    token: text(8192),
  }),
  timeouts: remoteTimeouts.prefault({}),
  /**
   * Further attempts where the first did no work: connection refused, 502, 503, or 429 with Retry-After. They end with
   * the request's time.
   */
  retries: integer(0, 10).default(2),
});

const modelPath = () => text(4096);
/** What a file may be called, or nearly: its name is the model's, and has to be allowed where somebody wants to keep it. */
export const modelName = () =>
  z.string().regex(/^(?!\s|.*\$\{)[^\p{Cc}\u2028\u2029]{1,255}(?<!\s)$/u, {
    error: '1 to 255 characters without control characters and ${, not beginning or ending with a blank',
  });

/** A further model: the same keys as the first one has at the top of the file. */
const furtherModel = z.strictObject({
  /** A GGUF file. Exactly one of model_path and remote_service is set. */
  model_path: modelPath().optional(),
  remote_service: remoteService.optional(),
  /** The name clients use. Default: the file's name without `.gguf`; a remote service's has to be set. */
  model_name: modelName().optional(),
  /** What is to be otherwise than in `engine` at the top of the file. */
  engine: engine.optional(),
});

const cache = z
  .strictObject({
    /** Keeps answers to deterministic requests (temperature 0, or a seed): nowhere, in this process, or in Redis. */
    store: oneOf(['off', 'memory', 'redis']).default('off'),
    /** Seconds for which an answer is kept. */
    ttl_seconds: integer(1, 7 * 24 * 3600).default(3600),
    /** memory: most megabytes of answers; the least recently used go. Redis has a setting of its own for this. */
    max_mb: integer(1, 1024).default(16),
    /** redis: `rediss://user:password@host:6379/0`; plain redis:// only on this machine. Values are encrypted. */
    redis_url: z.string({ error: REDIS_URL }).refine(isSafeRedis, { error: REDIS_URL }).optional(),
  })
  .superRefine((given, context) => {
    if (given.store !== 'redis' || given.redis_url !== undefined) return;
    const message = '`cache.store` is redis: set `cache.redis_url` too';
    context.addIssue({ code: 'custom', path: ['redis_url'], message, params: { sentence: true } });
  });

/** Who may read and write there is the business of that bucket's policy. */
const stateCopy = z.strictObject({
  bucket: z.string().regex(/^[a-z0-9.-]{3,63}$/, { error: 'the name of a bucket' }),
  /** The objects' keys begin with it; both must be there, empty ones at first. */
  prefix: z
    .string()
    .regex(/^([\w.-]+\/)*$/, { error: 'a key prefix that ends in /' })
    .default('state/'),
  /** Of the bucket. */
  region: z.string().regex(/^[a-z0-9-]+$/, { error: 'an AWS region such as us-east-1' }),
});

const logging = z.strictObject({
  /** Lowest level written. SEC lines are always written. */
  level: oneOf(['info', 'warn', 'error']).default('info'),
  /** Writes `bot.log` in this folder, besides standard output. Survives rotation by rename. */
  directory: text().optional(),
  /** Writes `metrics.log` there once a minute, in CloudWatch's embedded metric format. */
  cloudwatch_metrics: flag().default(false),
});

export const configSchema = z
  .strictObject({
    service: service.prefault({}),
    network: network.prefault({}),
    security: security.prefault({}),
    /** Short form of `security.api_key`. */
    api_key: apiKey().optional(),
    /** A GGUF file. Exactly one of model_path and remote_service is set. */
    model_path: modelPath().optional(),
    /** The name clients use. Default: the file's name without `.gguf`. */
    model_name: modelName().optional(),
    /** Models served beside that one, local and remote; the memory has to hold all local ones together. */
    models: z
      .array(furtherModel, { error: 'a list of models' })
      .max(MOST_FURTHER_MODELS, { error: `a list of at most ${MOST_FURTHER_MODELS} models` })
      .default([]),
    /** Most tokens of an answer whose request names no limit. */
    max_tokens: integer(1, 131072).default(2048),
    /** Sampling temperature of a request that names none. */
    temperature: numberBetween(0, 2).default(0.7),
    engine: engine.prefault({}),
    limits: limits.prefault({}),
    remote_service: remoteService.optional(),
    cache: cache.prefault({}),
    logging: logging.prefault({}),
    /**
     * Folder of what the service keeps: the register of tokens and the access policy. Default: /var/lib/bot where it is
     * there; without one, tokens cannot be revoked and the policy not be changed.
     */
    state_directory: text(4096).optional(),
    /** A copy of that in S3, which outlives the machine, and which several machines can share. */
    state_copy: stateCopy.optional(),
  })
  .superRefine((config, context) => {
    const complain = (path: (string | number)[], message: string) =>
      context.addIssue({ code: 'custom', path, message, params: { sentence: true } });

    if (config.model_path !== undefined && config.remote_service !== undefined) {
      complain(['remote_service'], 'set one of `model_path` and `remote_service`, not both');
    }
    if (config.model_path === undefined && config.remote_service === undefined) {
      complain(['model_path'], 'set `model_path` to a GGUF file, or `remote_service` to use another service');
    }
    const names = [config, ...config.models].map(modelIdOf);
    config.models.forEach((model, index) => {
      const [name, at] = [names[index + 1], `models[${index}]`];
      if ((model.model_path === undefined) === (model.remote_service === undefined)) {
        complain(['models', index], `set one of \`${at}.model_path\` and \`${at}.remote_service\``);
      } else if (model.remote_service !== undefined && model.model_name === undefined) {
        complain(
          ['models', index, 'model_name'],
          `set \`${at}.model_name\`: the remote service's name for it`,
        );
      } else if (name !== undefined && names.indexOf(name) <= index) {
        complain(
          ['models', index, 'model_name'],
          `\`${at}\` is the second model called ${name}: set its \`model_name\``,
        );
      }
    });
    if (config.logging.cloudwatch_metrics && config.logging.directory === undefined) {
      complain(
        ['logging', 'cloudwatch_metrics'],
        'set `logging.directory`, where metrics.log is to be written',
      );
    }
    const keys = [config.api_key, config.security.api_key, config.security.api_key_secret_id];
    const given = keys.filter((key) => key !== undefined).length;
    if (given === 0) {
      complain(['security', 'api_key'], 'set `security.api_key`, or `security.api_key_secret_id`');
    }
    if (given > 1) {
      complain(
        ['security', 'api_key'],
        'set one of `api_key`, `security.api_key` and `security.api_key_secret_id`',
      );
    }
    const { internal_port: internal, external_port: external, console_port: console } = config.network;
    if (new Set([internal, external, console]).size < 3) {
      complain(['network'], 'external_port, internal_port and console_port must be three different ports');
    }
  });

export type BotConfig = z.output<typeof configSchema>;

/** One model, as the top of the file or an entry of `models` names it. */
export type ModelSource = Pick<BotConfig, 'model_path' | 'model_name' | 'remote_service'>;

/** The name clients use. */
export function modelIdOf({ model_name: name, model_path: path }: ModelSource): string {
  return name ?? (path === undefined ? 'remote' : nameOfFile(path));
}

/** One that `modelName` allows. */
function nameOfFile(path: string): string {
  // No `node:path`: the schema is pure.
  const file = path.slice(path.lastIndexOf('/') + 1).replace(/\.gguf$/i, '');
  const name = file.replaceAll(/[\p{Cc}\u2028\u2029]|\$\{/gu, '-').trim();
  return name === '' ? 'model' : name;
}

/** The token travels with each request: it must not cross a network in clear. */
function isSafeEndpoint(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const url = new URL(value);
  if (url.username !== '' || url.password !== '') return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLocal(url));
}

/** Neither may Redis's password. */
function isSafeRedis(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const url = new URL(value);
  return url.protocol === 'rediss:' || (url.protocol === 'redis:' && isLocal(url));
}

function isLocal(url: URL): boolean {
  return ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
}
