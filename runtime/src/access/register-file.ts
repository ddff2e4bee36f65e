/** The register of access tokens as a file: sealed under the API key. */
import { contentSchema, type RegisterContent } from './register-content.js';
import { seal, unseal, type Encryption, type Opened } from './sealed.js';

export const REGISTER_FILE = 'tokens.sealed';
const PURPOSE = 'token register';

/** The register cannot be used; the message says why and what to do. */
export class RegisterError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RegisterError';
  }
}

export function sealRegister(content: RegisterContent, apiKey: string, encryption: Encryption): Buffer {
  return seal(Buffer.from(JSON.stringify(content)), apiKey, encryption, PURPOSE);
}

/** `apiKeys`: newest first. `encryption`: what is used now; older content may use the other. */
export function openRegister(sealed: Buffer, apiKeys: readonly string[], encryption: Encryption): Opened {
  return unseal(sealed, apiKeys, encryption, PURPOSE);
}

/** @throws RegisterError for the content of another version */
export function parseRegister(file: string, content: Buffer): RegisterContent {
  const parsed = contentSchema.safeParse(JSON.parse(content.toString('utf8')));
  if (parsed.success) return parsed.data;
  throw new RegisterError(`${file} was written by another version of bot; go back to it, or remove the file`);
}
