/** An error that a client sees, in OpenAI's shape. */
import { API_ERRORS, type ErrorCode } from './catalog.js';
import { counted } from './counted.js';

export interface ApiErrorOptions {
  /** Instead of the catalogue's. */
  readonly message?: string;
  /** Fills the `{name}`s of the message's template, and the `{name:noun}`s with a number and its noun. */
  readonly values?: Readonly<Record<string, string | number>>;
  /** The request's parameter at fault. */
  readonly param?: string;
  /** Seconds after which another try makes sense: becomes Retry-After. */
  readonly retryAfter?: number;
  /** Further headers of the answer. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string;
  };
}

export class ApiError extends Error {
  readonly status: number;
  readonly type: string;
  readonly param: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    readonly code: ErrorCode,
    options: ApiErrorOptions = {},
  ) {
    const entry = API_ERRORS[code];
    const values = { ...options.values, ...(options.param === undefined ? {} : { param: options.param }) };
    super(options.message ?? fillTemplate(entry.message, values));
    this.name = 'ApiError';
    this.status = entry.status;
    this.type = entry.type;
    this.param = options.param ?? null;
    this.headers = {
      ...options.headers,
      ...(options.retryAfter === undefined ? {} : { 'Retry-After': String(options.retryAfter) }),
    };
  }

  toBody(): ErrorBody {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.code } };
  }
}

function fillTemplate(template: string, values: Readonly<Record<string, string | number>>): string {
  return template.replace(/\{(\w+)(?::(\w+))?\}/g, (placeholder, name: string, noun?: string) => {
    const value = values[name];
    if (value === undefined) return placeholder;
    return noun === undefined ? String(value) : counted(Number(value), noun);
  });
}
