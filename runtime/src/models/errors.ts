/** What can go wrong between naming a model and having it, each with the remedy that the person needs. */

/** Every code with what it means. Messages are written where the facts are known; this table is the contract. */
export const MODEL_ERRORS = {
  INVALID_SOURCE: 'the source is not written in one of the known forms',
  NOT_FOUND: 'no file, package or version of that name',
  NOT_A_FILE: 'the path is a folder or something else that cannot be read as a file',
  NOT_GGUF: 'the file is not a GGUF model that this engine reads',
  CHECKSUM_MISMATCH: 'the file is not the one that the lock file or the hub names',
  PIN_MISMATCH: 'the hub now offers another file than the one pinned',
  NO_PYTHON: 'pypi: sources need python3 with pip, and there is no Python',
  NO_PIP: 'pypi: sources need python3 with pip, and Python has no pip',
  PIP_FAILED: 'pip failed for a reason of its own',
  NO_NETWORK: 'the server could not be reached or went away, also after several attempts',
  ACCESS_DENIED: 'the server wants a token, or refuses the one given',
  HTTP_STATUS: 'the server answered with an error',
  NO_SPACE: 'the disk has too little room',
  CACHE_NOT_WRITABLE: 'the cache folder cannot be written',
  LOCK_FILE_INVALID: 'the lock file is not in its format',
  ABORTED: 'the pull was interrupted',
} as const;

export type ModelErrorCode = keyof typeof MODEL_ERRORS;

export class ModelError extends Error {
  readonly code: ModelErrorCode;
  /** What to do, as one sentence without a full stop. */
  readonly remedy: string;

  constructor(code: ModelErrorCode, problem: string, remedy: string, options?: ErrorOptions) {
    super(`${problem}; ${remedy}`, options);
    this.name = 'ModelError';
    this.code = code;
    this.remedy = remedy;
  }
}

/** The code of a system error, `ENOENT` for example; undefined for anything else. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}
