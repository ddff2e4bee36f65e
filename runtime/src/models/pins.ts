/** The lock file: which bytes each remote source stands for. Kept in the repository, changed by the first pull. */
import { randomBytes } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';

import { z } from 'zod';

import { ModelError, systemCode } from './errors.js';

const pinSchema = z.strictObject({
  /** Lower-case hexadecimal. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/, 'should be 64 lower-case hexadecimal digits'),
  /** Bytes. */
  size: z.int().positive(),
});
const pinsSchema = z.record(z.string(), pinSchema);

export type Pin = z.infer<typeof pinSchema>;
export type Pins = Readonly<Record<string, Pin>>;

/**
 * A file that is not there holds no pins.
 *
 * @throws ModelError LOCK_FILE_INVALID
 */
export async function readPins(file: string): Promise<Pins> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return {};
    throw lockFileError(file, String(error));
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw lockFileError(file, 'it is not JSON');
  }
  const parsed = pinsSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw lockFileError(file, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
  }
  return parsed.data;
}

/**
 * Adds one pin, leaving the others as they stand in the file now.
 *
 * @returns false where the file cannot be written (an installed bundle belongs to root): the caller says so
 */
export async function addPin(file: string, key: string, pin: Pin): Promise<boolean> {
  const pins = { ...(await readPins(file)), [key]: pin };
  const sorted = Object.fromEntries(Object.entries(pins).sort(([a], [b]) => (a < b ? -1 : 1)));
  const temporary = `${file}.${randomBytes(4).toString('hex')}`;
  try {
    await writeFile(temporary, `${JSON.stringify(sorted, null, 2)}\n`);
    await rename(temporary, file);
    return true;
  } catch (error) {
    await rm(temporary, { force: true });
    if (['EACCES', 'EPERM', 'EROFS', 'ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return false;
    throw error;
  }
}

function lockFileError(file: string, why: string): ModelError {
  return new ModelError(
    'LOCK_FILE_INVALID',
    `the model lock file ${file} cannot be used: ${why}`,
    'restore it (git checkout), or remove the entry',
  );
}
