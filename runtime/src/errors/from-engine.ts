/** What a client is told when the engine fails. */
import { EngineError } from '../engine/engine.js';
import { ApiError } from './api-error.js';

/** Seconds after which an engine that is loading or restarting is worth another try. */
export const ENGINE_RETRY_SECONDS = 3;

/** Where a route's body has what the model reads. */
export type PromptField = 'messages' | 'prompt' | 'input';

/** Translates an EngineError; anything else is a defect, whose text stays in the log. */
export function toApiError(error: unknown, requestId: string, param: PromptField = 'messages'): ApiError {
  if (error instanceof ApiError) return error;
  if (!(error instanceof EngineError)) return new ApiError('internal_error', { values: { requestId } });

  switch (error.code) {
    case 'context_length_exceeded':
      // A remote service has its own words, with the counts or without.
      return 'promptTokens' in error.details
        ? new ApiError('context_length_exceeded', { values: error.details, param })
        : new ApiError('context_length_exceeded', { message: error.message, param });
    case 'prompt_refused':
      return new ApiError('invalid_value', { values: { detail: error.message }, param });
    case 'format_refused':
      return new ApiError('invalid_value', { values: { detail: error.message }, param: 'response_format' });
    case 'embeddings_refused':
      return new ApiError('embeddings_unsupported', { param: 'model' });
    case 'text_refused':
      return new ApiError('text_unsupported', { param: 'model' });
    case 'engine_interrupted':
      return new ApiError('engine_interrupted', { retryAfter: ENGINE_RETRY_SECONDS });
    case 'upstream_failed':
      return new ApiError('upstream_failed', { values: { detail: error.message } });
    case 'upstream_refused': {
      const { param: at } = error.details;
      const values = { detail: error.message };
      return new ApiError('upstream_refused', at === undefined ? { values } : { values, param: String(at) });
    }
    case 'upstream_busy': {
      const seconds = Number(error.details['seconds'] ?? ENGINE_RETRY_SECONDS);
      return new ApiError('upstream_busy', {
        values: { detail: error.message, seconds },
        retryAfter: seconds,
      });
    }
    case 'engine_unavailable':
    case 'model_unusable':
      return engineUnavailable('not available');
  }
}

/** `seconds`: after which another try makes sense. */
export function engineUnavailable(state: string, seconds = ENGINE_RETRY_SECONDS): ApiError {
  return new ApiError('engine_unavailable', { values: { state, seconds }, retryAfter: seconds });
}
