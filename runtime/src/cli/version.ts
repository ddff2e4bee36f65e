/** What `bot --version` says. Reads package.json files beside the compiled code, so only the CLI loads this. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The package's root: holds dist/, console/ and node_modules/. */
export const PACKAGE_ROOT = join(import.meta.dirname, '..', '..');

export function readVersion(): { readonly version: string; readonly text: string } {
  const version = packageVersion(PACKAGE_ROOT) ?? 'unknown';
  const llama = packageVersion(join(PACKAGE_ROOT, 'node_modules', 'node-llama-cpp')) ?? 'not installed';
  return { version, text: `bot ${version} (node ${process.versions.node}, node-llama-cpp ${llama})` };
}

function packageVersion(directory: string): string | undefined {
  try {
    const manifest = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as {
      version?: string;
    };
    return manifest.version;
  } catch {
    return undefined;
  }
}
