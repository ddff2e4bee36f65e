/** What a restore must not undo: a token that was revoked stays revoked, whatever the register in the backup says. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { ApiKeys } from '../access/api-keys.js';
import { keySource } from '../access/key-source.js';
import {
  EMPTY,
  isSame,
  merged,
  revocationsUnknownTo,
  withoutEnded,
  type RegisterContent,
} from '../access/register-content.js';
import { openRegister, parseRegister, REGISTER_FILE, sealRegister } from '../access/register-file.js';
import type { Encryption } from '../access/sealed.js';
import { stateDirectory } from '../config/load.js';
import type { BotConfig } from '../config/schema.js';
import { counted } from '../errors/counted.js';
import { messageOf } from '../errors/message-of.js';
import { writeAtomically } from '../files/atomic-write.js';
import { installedConfig, serviceEnvironment, type Installation } from './installation.js';

/** Where settings have the register lie, and what opens it there. */
export interface RegisterPlace {
  readonly directory: string;
  /** Newest first. */
  readonly keys: readonly string[];
  readonly encryption: Encryption;
}

/** The registers of one place, still sealed: whose keys open them may come with the restored settings only. */
export interface SealedRegisters {
  readonly keys: readonly string[];
  readonly files: readonly { readonly name: string; readonly sealed: Buffer | Error }[];
}

/** By the settings that are in place now. Undefined where they keep no register. @throws Error where they are no good */
async function placeNow(installation: Installation): Promise<RegisterPlace | undefined> {
  const config = installedConfig(installation);
  const directory = stateDirectory(config);
  const { encryption } = config.security;
  return directory === undefined
    ? undefined
    : { directory, encryption, keys: await keysOf(installation, config) };
}

/** The same where settings that are no good are what the restore is for: what they do not tell is left out. */
export async function registerPlace(installation: Installation): Promise<RegisterPlace | undefined> {
  const usual = { directory: installation.layout.state, keys: [], encryption: 'AES-256-GCM' } as const;
  try {
    const config = installedConfig(installation);
    const directory = stateDirectory(config);
    if (directory === undefined) return undefined;
    const keys = await keysOf(installation, config).catch(() => []);
    return { directory, keys, encryption: config.security.encryption };
  } catch {
    return usual;
  }
}

async function keysOf({ layout }: Installation, config: BotConfig): Promise<readonly string[]> {
  const { source } = keySource(config, serviceEnvironment(layout, process.env));
  const keys = await ApiKeys.open({ source, refreshIntervalMs: 0, onProblem: () => undefined });
  return keys.current().map(({ value }) => value);
}

/**
 * To be called while no service changes them. Those that were put aside when an API key was given up are among them:
 * the restored settings may bring that key back.
 */
export async function sealedRegisters(place: RegisterPlace | undefined): Promise<SealedRegisters> {
  if (place === undefined) return { keys: [], files: [] };
  const names = await readdir(place.directory).catch((): string[] => []);
  const registers = names.filter(
    (name) => name === REGISTER_FILE || new RegExp(`^${REGISTER_FILE}\\.\\d+$`).test(name),
  );
  const files = registers.map(async (name) => ({
    name,
    sealed: await readFile(join(place.directory, name)).catch((error: unknown) => error as Error),
  }));
  return { keys: place.keys, files: await Promise.all(files) };
}

/**
 * Enters what the registers before knew into the one that counts now.
 *
 * @throws Error where that cannot be done: the settings that count now are no good, or the disk is not
 */
export async function keepRevocations(installation: Installation, before: SealedRegisters): Promise<void> {
  if (before.files.length === 0) return;
  const place = await placeNow(installation);
  if (place === undefined) return;
  const { say, warn } = installation;
  const keys = [...place.keys, ...before.keys];
  const known: RegisterContent[] = [];
  for (const { name, sealed } of before.files) {
    const opened = opening(sealed, keys);
    if (typeof opened !== 'string') known.push(opened);
    else if (name === REGISTER_FILE) warn(unknownRevocations(opened));
  }
  if (known.length === 0) return;
  const now = Math.floor(Date.now() / 1000);
  const all = withoutEnded(known.reduce(merged), now);
  const found = await registerAt(place, keys);
  const { tokens, users } = revocationsUnknownTo(found ?? EMPTY, all, now);
  const next = merged(found ?? EMPTY, all);
  if (found === undefined || !isSame(found, next)) await writeRegister(place, next);
  if (tokens > 0) {
    const [were, stay] = tokens === 1 ? ['was', 'stays'] : ['were', 'stay'];
    say(`${counted(tokens, 'token')} that ${were} revoked since the backup ${stay} revoked`);
  }
  if (users.length > 0) say(`all tokens of ${users.join(', ')} until their revocation stay revoked`);
  if (tokens + users.length === 0) say('the backup knows every token that was revoked');
}

/**
 * Enters what was revoked while a restored state ran into the register that counted before, which is back. One that
 * cannot be opened stays as it is: nothing else knows what it held.
 */
export async function takeBackRevocations(
  installation: Installation,
  meanwhile: SealedRegisters,
): Promise<void> {
  const place = await registerPlace(installation);
  if (place === undefined) return;
  const keys = [...place.keys, ...meanwhile.keys];
  const known = meanwhile.files.map(({ sealed }) => opening(sealed, keys));
  const found = await registerAt(place, keys);
  if (found === undefined) return;
  const next = known.reduce<RegisterContent>(
    (all, one) => (typeof one === 'string' ? all : merged(all, one)),
    found,
  );
  if (!isSame(found, next)) await writeRegister(place, next);
}

/** Undefined: there is none, or none that opens. */
async function registerAt(
  place: RegisterPlace,
  keys: readonly string[],
): Promise<RegisterContent | undefined> {
  const { files } = await sealedRegisters(place);
  const file = files.find(({ name }) => name === REGISTER_FILE);
  const opened = file && opening(file.sealed, keys);
  return typeof opened === 'string' ? undefined : opened;
}

async function writeRegister(place: RegisterPlace, content: RegisterContent): Promise<void> {
  const [key] = place.keys;
  if (key === undefined) throw new Error('there is no API key to seal the register of tokens with');
  await writeAtomically(join(place.directory, REGISTER_FILE), sealRegister(content, key, place.encryption));
}

/** What the register says, or why it cannot be known. */
function opening(sealed: Buffer | Error, keys: readonly string[]): RegisterContent | string {
  if (sealed instanceof Error) return `cannot be read (${sealed.message})`;
  const opened = openRegister(sealed, keys, 'AES-256-GCM');
  if (opened.ok) {
    try {
      return parseRegister(REGISTER_FILE, opened.content);
    } catch (error) {
      return `cannot be read (${messageOf(error)})`;
    }
  }
  return opened.reason === 'damaged'
    ? 'is damaged'
    : 'is sealed under an API key that neither the present settings nor the restored ones hold';
}

function unknownRevocations(reason: string): string {
  return (
    `the register of tokens that counted until now ${reason}: what was revoked since the backup is valid again. ` +
    'What to do: revoke it again (bot token list, bot token revoke), or rotate the API key (twice where it is in Secrets Manager), which ends every token'
  );
}
