/** Asks llama.cpp itself whether texts match grammars: node-llama-cpp is an ES module, so a process of its own does it. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

export interface GrammarQuestion {
  readonly grammar: string;
  readonly texts: readonly string[];
}

/** For each grammar which of its texts match, or llama.cpp's complaint about the grammar. */
export function matchesOf(questions: readonly GrammarQuestion[]): readonly (readonly boolean[] | string)[] {
  const { stdout, stderr } = spawnSync(process.execPath, [join(__dirname, 'grammar-process.mjs')], {
    input: JSON.stringify(questions),
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (stdout === '') throw new Error(`llama.cpp did not answer: ${stderr}`);
  return JSON.parse(stdout) as (readonly boolean[] | string)[];
}
