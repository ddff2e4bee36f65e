import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The repository, wherever the command was started. */
export const ROOT = join(__dirname, '..');

/** Of the project, and so of the runtime that a deploy installs. */
export const VERSION = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string })
  .version;
