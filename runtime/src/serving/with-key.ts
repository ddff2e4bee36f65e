/** Messages of an engine name its own keys; which model's they are is known here. */
import type { ModelConfig } from '../config/models.js';
import { EngineError } from '../engine/engine.js';

export function withKey(error: unknown, config: ModelConfig | undefined): Error {
  if (!(error instanceof Error) || config === undefined || config.key === '') return error as Error;
  const message = messageWithKey(error.message, config);
  return error instanceof EngineError
    ? new EngineError(error.code, message, error.details)
    : new Error(message);
}

export function messageWithKey(message: string, { key, id }: ModelConfig): string {
  if (key === '') return message;
  return /^(model_path|remote_service)/.test(message)
    ? key + message
    : `${key.slice(0, -1)} (${id}): ${message}`;
}
