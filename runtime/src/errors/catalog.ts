/**
 * Every error the HTTP API answers with: code, status, OpenAI's type and the message's template. The API, the page
 * docs/errors.md and the tests read this table.
 */

export interface ErrorEntry {
  readonly status: number;
  readonly type:
    | 'invalid_request_error'
    | 'authentication_error'
    | 'permission_error'
    | 'rate_limit_error'
    | 'server_error';
  /** `{name}` is filled when the error is raised, and `{name:noun}` with a number and its noun, of which it may be one. Names the field, the value, what is allowed and the remedy. */
  readonly message: string;
  /** For the documentation: when it happens and what to do, where the message alone does not tell. */
  readonly help: string;
}

export const API_ERRORS = {
  invalid_json: {
    status: 400,
    type: 'invalid_request_error',
    message: 'The body is not valid JSON: {detail}',
    help: 'Send one JSON object in UTF-8.',
  },
  invalid_value: {
    status: 400,
    type: 'invalid_request_error',
    message: '{detail}',
    help: 'A parameter has a value that is not allowed; `param` names it.',
  },
  missing_parameter: {
    status: 400,
    type: 'invalid_request_error',
    message: '{detail}',
    help: 'A parameter that has no default is missing; `param` names it.',
  },
  unknown_parameter: {
    status: 400,
    type: 'invalid_request_error',
    message: '{detail}',
    help: 'OpenAI’s API has no such parameter; a misspelling, mostly.',
  },
  unsupported_parameter: {
    status: 400,
    type: 'invalid_request_error',
    message: '`{param}` is not supported by this service: {detail}',
    help: 'OpenAI’s API has this parameter, this service does not. It is refused, never ignored.',
  },
  context_length_exceeded: {
    status: 400,
    type: 'invalid_request_error',
    message:
      '`{param}` takes {promptTokens} tokens, and the context holds {contextSize} with the answer; ' +
      'shorten it or drop the oldest messages',
    help: 'Nothing is cut off in silence. A larger `engine.context_size` takes more memory.',
  },
  embeddings_unsupported: {
    status: 400,
    type: 'invalid_request_error',
    message: 'This model answers in text and makes no embeddings; name one that does',
    help: 'Embeddings come from GGUF files with a pooling type, and from remote services that have them.',
  },
  text_unsupported: {
    status: 400,
    type: 'invalid_request_error',
    message: 'This model makes embeddings and does not answer in text; name another one',
    help: 'It was trained for `/v1/embeddings`. `GET /v1/models` lists the models that are served.',
  },
  content_filter: {
    status: 400,
    type: 'invalid_request_error',
    message: 'The request contains words that this service does not allow',
    help:
      'A word rule of the access policy; the log has the rule’s name under the request id. An answer in which such a ' +
      'word comes up ends before it, with the finish reason `content_filter`.',
  },
  invalid_policy: {
    status: 400,
    type: 'invalid_request_error',
    message: '{detail}',
    help: 'The access policy that was sent to the console’s API cannot be used; the one before stays in force.',
  },
  invalid_http: {
    status: 400,
    type: 'invalid_request_error',
    message:
      'The request is not valid HTTP for this port: headers too large, malformed, or http:// on the https:// port.',
    help: 'Answered by nginx. 443 speaks TLS, the other port does not.',
  },
  upstream_refused: {
    status: 400,
    type: 'invalid_request_error',
    message: 'The remote service refused the request: {detail}',
    help: 'Only with `remote_service`: its own words, about a request that this service would have passed.',
  },
  missing_api_key: {
    status: 401,
    type: 'authentication_error',
    message: 'No credentials: send `Authorization: Bearer <API key or access token>`',
    help: 'Make an access token with `generate_token.sh`.',
  },
  invalid_api_key: {
    status: 401,
    type: 'authentication_error',
    message: 'The API key or access token is not valid',
    help: 'Misspelt, signed by a key that was rotated away, or not made for this service.',
  },
  token_expired: {
    status: 401,
    type: 'authentication_error',
    message: 'The access token has expired; make a new one with generate_token.sh',
    help: 'Access tokens live 24 hours unless `--expiry` says otherwise.',
  },
  token_revoked: {
    status: 401,
    type: 'authentication_error',
    message: 'The access token was revoked; ask an administrator for a new one',
    help: 'By `bot token revoke` or in the console. `bot token list` says when.',
  },
  insufficient_scope: {
    status: 403,
    type: 'permission_error',
    message: 'The access token is not allowed to do this: it needs the scope `{scope}`',
    help:
      'Ask for a token with that scope: `generate_token.sh --scope admin` for all of the console, ' +
      '`--scope chat,metrics:read` for more than one.',
  },
  not_found: {
    status: 404,
    type: 'invalid_request_error',
    message: 'There is no {path} here; the routes are {routes}',
    help: 'The base URL for OpenAI clients ends in `/v1`.',
  },
  token_not_found: {
    status: 404,
    type: 'invalid_request_error',
    message: 'There is no token {id} in the register; `GET /admin/tokens` lists those that are',
    help: 'Ended tokens are dropped from the register a week later.',
  },
  model_not_found: {
    status: 404,
    type: 'invalid_request_error',
    message: 'The model `{model}` is not served here; available: {available}',
    help: '`GET /v1/models` lists what is served.',
  },
  method_not_allowed: {
    status: 405,
    type: 'invalid_request_error',
    message: '{path} does not take {method}, only {allowed}',
    help: 'The `Allow` header lists the methods.',
  },
  policy_changed: {
    status: 409,
    type: 'invalid_request_error',
    message: 'The access policy was changed by somebody else in the meantime; read it again',
    help: '`revision` is not the one that `GET /admin/policy` answers now.',
  },
  payload_too_large: {
    status: 413,
    type: 'invalid_request_error',
    message: 'The body is larger than {limit}; shorten the messages',
    help: 'A body of that size would not fit any context.',
  },
  unsupported_media_type: {
    status: 415,
    type: 'invalid_request_error',
    message: 'The body’s type is {type}; send `Content-Type: application/json`',
    help: 'curl sends a form unless told: `-H "Content-Type: application/json"`.',
  },
  too_many_failed_logins: {
    status: 429,
    type: 'rate_limit_error',
    message: 'Too many wrong keys from this address; try again in {seconds:second}',
    help: 'More than 10 wrong keys or tokens in a minute lock an address out for 300 seconds.',
  },
  rate_limit_exceeded: {
    status: 429,
    type: 'rate_limit_error',
    message:
      'More than 10 requests a second (burst 20), or more than 32 at once, from this address. Retry after 1 second.',
    help: 'Answered by nginx, which counts by address: users behind one NAT share it.',
  },
  server_busy: {
    status: 429,
    type: 'rate_limit_error',
    message:
      'No place is free: {sequences:sequence} at work, {waiting:request} waiting; try again in {seconds:second}',
    help:
      '`limits.max_queue` bounds the line. `Retry-After` says when a place should get free, at the rate at which requests ' +
      'ended lately; of several who are refused, each is told of another place.',
  },
  too_many_sessions: {
    status: 429,
    type: 'rate_limit_error',
    message: '{limit:request} under way {whose}, as many as are allowed; try again in {seconds:second}',
    help:
      '`sessions` of the access policy: in all, for one token, or for one user’s token. `Retry-After` says when one of ' +
      'these should end; of several who are refused, each is told of another.',
  },
  internal_error: {
    status: 500,
    type: 'server_error',
    message: 'Something went wrong on our side; the log has it under request id {requestId}',
    help: 'A defect: look for the request id in the log.',
  },
  upstream_failed: {
    status: 502,
    type: 'server_error',
    message: 'The remote service failed: {detail}',
    help:
      'Only with `remote_service`: it does not take the credentials, timed out or answered something unreadable. The log ' +
      'has the cause under the request id.',
  },
  upstream_busy: {
    status: 503,
    type: 'server_error',
    message: 'The remote service cannot take the request: {detail}; try again in {seconds:second}',
    help: 'Only with `remote_service`: it is over its rate limit, or away. `Retry-After` is its own, or 5.',
  },
  engine_unavailable: {
    status: 503,
    type: 'server_error',
    message: 'The model is not ready ({state}); try again in {seconds:second}',
    help:
      'The model is being loaded, its process is being restarted after a crash, or it has failed and is tried again ' +
      'when `Retry-After` says; the log has the reason.',
  },
  engine_interrupted: {
    status: 503,
    type: 'server_error',
    message: 'The model’s process ended while it worked on this answer; send the request again',
    help: 'The process is restarted by itself; the log says why it ended.',
  },
  token_register_unavailable: {
    status: 503,
    type: 'server_error',
    message: 'Access tokens cannot be checked now; an API key still works. The log says why',
    help: 'The register that tells which tokens were revoked is damaged, or sealed under an unknown key.',
  },
  no_state_directory: {
    status: 503,
    type: 'server_error',
    message: 'The service has no folder to keep this in: set `state_directory` in its configuration',
    help: 'On an instance it is `/var/lib/bot`, and there without being set.',
  },
  queue_timeout: {
    status: 503,
    type: 'server_error',
    message: 'The request waited {seconds:second} for a free sequence; try again later',
    help: '`limits.max_request_seconds` passed before the work began.',
  },
  request_timeout: {
    status: 504,
    type: 'server_error',
    message: 'Nothing was written within the {seconds:second} that a request may take; ask for less',
    help:
      'The prompt took all the time there was. With some text written, the answer would have ended with the finish ' +
      'reason `length` and a `warning`. `x-should-retry: false` keeps clients from trying the same again.',
  },
  shutting_down: {
    status: 503,
    type: 'server_error',
    message: 'The service is shutting down; try again in a few seconds',
    help: 'Running answers are finished first, for up to 25 seconds.',
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof API_ERRORS;
