/** Our service, from the compiled runtime: the files that the bundle carries to an instance. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { dump } from 'js-yaml';

import { provideBundleNode } from './bundle-node.js';
import { MODEL_NAME } from './chat-request.js';
import type { Settings } from './llama-server.js';
import { freePort, startServer, type RunningServer } from './server-process.js';
import { REPOSITORY, run } from './workspace.js';

export const BOT = join(REPOSITORY, 'runtime', 'dist', 'cli', 'bot.js');

/** Compiles the runtime, so that what is measured is what stands in the sources. Returns its version. */
export async function buildBotService(): Promise<string> {
  await run('npm', ['run', '--silent', 'build', '--prefix', REPOSITORY]);
  return (await run(join(await provideBundleNode(), 'node'), [BOT, '--version'])).trim();
}

/** What a measurement sets beside the settings of all. */
export interface BotOverrides {
  readonly engine?: Readonly<Record<string, number>>;
  readonly cache?: { readonly store: 'memory' };
}

/**
 * Everything not named here, and in `overrides`, stays at the service's default. What is the default anyway is said all
 * the same: so it is not lowered where memory is short.
 */
export async function startBotService(
  settings: Settings,
  { engine, cache }: BotOverrides = {},
): Promise<RunningServer> {
  const port = await freePort();
  const apiKey = randomBytes(32).toString('hex');
  const configFile = join(settings.folder, 'config.yaml');
  const config = {
    service: { name: 'bench' },
    network: { internal_port: port, console_port: 0 },
    security: { api_key: '${BENCH_API_KEY}' },
    model_path: settings.modelPath,
    model_name: MODEL_NAME,
    engine: {
      context_size: settings.contextSize,
      sequences: settings.sequences,
      threads: settings.threads,
      ...engine,
    },
    ...(cache === undefined ? {} : { cache }),
  };
  writeFileSync(configFile, dump(config));
  return startServer({
    name: 'botstack',
    command: [join(REPOSITORY, 'runtime', 'bin', 'bot'), 'serve', '--config', configFile],
    env: { BENCH_API_KEY: apiKey, PATH: `${await provideBundleNode()}:${process.env.PATH}` },
    port,
    headers: { authorization: `Bearer ${apiKey}` },
    readyPath: '/readyz',
    logFile: join(settings.folder, 'botstack.log'),
  });
}
