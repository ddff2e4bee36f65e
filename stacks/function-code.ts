/**
 * Packs a Lambda function of `functions/` into the archive that Lambda runs: one file, the same bytes on every machine.
 * The SDK is not in it, because Lambda's Node 22 brings it.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';

import { buildSync } from 'esbuild';
import { strToU8, zipSync } from 'fflate';

import { ROOT } from './version';

/** As Lambda names it. */
export const FUNCTION_RUNTIME = 'nodejs22.x';
export const FUNCTION_HANDLER = 'index.handler';

/** In local parts, because that is how a zip archive writes it: the same bytes in each time zone. */
const ENTRY_TIME = new Date(2020, 0, 1);

export interface FunctionCode {
  /** A zip archive. */
  readonly bytes: Uint8Array;
  /** Of the archive, hexadecimal. */
  readonly sha256: string;
}

/** @param name a file of `functions/`, without `.ts`, that exports `handler` */
export function packFunction(name: string): FunctionCode {
  const { outputFiles } = buildSync({
    entryPoints: [join(ROOT, 'functions', `${name}.ts`)],
    absWorkingDir: ROOT,
    bundle: true,
    platform: 'node',
    target: 'node22',
    format: 'cjs',
    external: ['@aws-sdk/*'],
    write: false,
  });
  const text = outputFiles.map((file) => file.text).join('');
  const bytes = zipSync({ 'index.js': strToU8(text) }, { level: 9, mtime: ENTRY_TIME });
  return { bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
}
