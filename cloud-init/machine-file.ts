/** One file of `cloud-init/files`, as it goes to the machine. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A file of this room, less what only its readers in the repository need. */
export function readMachineFile(name: string): string {
  return withoutComments(readFileSync(join(__dirname, 'files', name), 'utf8'));
}

/** The same with its `@NAME@`s filled in. */
export function fillMachineFile(name: string, values: Readonly<Record<string, string | number>>): string {
  return readMachineFile(name).replace(/@([A-Z0-9_]+)@/g, (placeholder, key: string) => {
    const value = values[key];
    if (value === undefined) throw new Error(`cloud-init/files/${name}: nothing fills ${placeholder}`);
    return String(value);
  });
}

/** Drops whole-line comments but a `#!`, and empty lines. Every language in files/ writes comments with `#`. */
function withoutComments(text: string): string {
  return text.replace(/^[ \t]*#(?!!).*\n/gm, '').replace(/\n{2,}/g, '\n');
}
