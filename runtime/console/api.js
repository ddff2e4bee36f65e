// @ts-check

import { createEventReader } from './lib/sse.js';
import { session } from './session.js';

/**
 * What the service answers, as far as the console uses it.
 *
 * @typedef {{ prompt_tokens: number, completion_tokens: number, prompt_tokens_details?: { cached_tokens?: number } }} Usage
 *
 * @typedef {object} ChatChunk
 * @property {{ delta: { content?: string | null }, finish_reason: string | null }[]} choices
 * @property {Usage | null} [usage]
 *
 * @typedef {object} Status
 * @property {string} version
 * @property {{ name: string, version?: string }} service the deployment's own labels
 * @property {number} uptime_seconds
 * @property {{ id: string, context_size: number, sequences: number, makes: string, notes: readonly string[] }} model
 * @property {object} engine
 * @property {'loading' | 'ready' | 'switching' | 'restarting' | 'failed' | 'stopped'} engine.state
 * @property {string | null} engine.reason
 * @property {number} engine.running
 * @property {number} engine.waiting
 * @property {number} engine.restarts
 * @property {readonly Pick<Status, 'model' | 'engine'>[]} other_models beside the default one
 * @property {object} limits
 * @property {number} limits.max_queue
 * @property {number} limits.max_request_seconds
 * @property {number} limits.max_tokens of a request that names none
 * @property {number} limits.temperature of a request that names none
 * @property {readonly string[] | 'all'} scopes what the credential that asked may do
 */

/**
 * @typedef {object} Token
 * @property {string} id
 * @property {string} user
 * @property {readonly string[]} scopes
 * @property {number} issued_at Unix seconds, like the others
 * @property {number} expires_at
 * @property {number | null} revoked_at
 *
 * @typedef {object} WordRule
 * @property {string} name
 * @property {'mask' | 'block'} action
 * @property {('input' | 'output')[]} on
 * @property {'word' | 'part'} match
 * @property {string[]} words
 *
 * @typedef {object} Policy
 * @property {{ overall?: number, per_token?: number, longest_request_seconds?: number }} sessions
 * @property {Record<string, Record<string, number>>} users
 * @property {WordRule[]} words
 *
 * @typedef {{ policy: Policy, revision: string, problem: string | null }} PolicyAnswer
 */

/** What the service, or the way to it, answered instead of a result. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} status HTTP status; 0 where there was no answer at all
   */
  constructor(message, status) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
  }
}

/**
 * @param {string} path
 * @param {RequestInit & { token?: string }} [options] `token` is tried instead of the session's
 * @throws {ApiError} for any status but 2xx, and where the service cannot be reached
 */
async function request(path, { token = session.token, ...init } = {}) {
  let response;
  try {
    response = await fetch(path, {
      ...init,
      cache: 'no-store',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
    });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(
      'the service cannot be reached: is the tunnel still open, and bot.service running?',
      0,
    );
  }
  if (!response.ok) throw new ApiError(await messageOf(response), response.status);
  return response;
}

/** @param {Response} response an error, in OpenAI's shape unless something in between answered */
async function messageOf(response) {
  const body = await response.json().catch(() => undefined);
  return body?.error?.message ?? `the service answered ${response.status} ${response.statusText}`.trim();
}

/**
 * @param {string} [token]
 * @returns {Promise<Status>}
 */
export const fetchStatus = async (token) => (await request('/admin/status', { token })).json();

/** @returns {Promise<readonly string[]>} the log's last lines, oldest first */
export const fetchLog = async () => (await (await request('/admin/logs')).json()).lines;

/** @returns {Promise<string>} */
export const fetchMetrics = async () => (await request('/metrics')).text();

/** @returns {Promise<readonly Token[]>} newest first */
export const fetchTokens = async () => (await (await request('/admin/tokens')).json()).tokens;

/**
 * @param {{ user: string, scopes: readonly string[], expiry_seconds: number }} order
 * @returns {Promise<{ token: string }>}
 */
export const issueToken = async (order) =>
  (await request('/admin/tokens', { method: 'POST', body: JSON.stringify(order) })).json();

/** @param {string} id */
export const revokeToken = async (id) => {
  await request(`/admin/tokens/${encodeURIComponent(id)}`, { method: 'DELETE' });
};

/** @returns {Promise<PolicyAnswer>} */
export const fetchPolicy = async () => (await request('/admin/policy')).json();

/**
 * @param {object} policy
 * @param {string} revision the one that the change is based on
 * @returns {Promise<PolicyAnswer>}
 */
export const replacePolicy = async (policy, revision) =>
  (await request('/admin/policy', { method: 'PUT', body: JSON.stringify({ policy, revision }) })).json();

/**
 * A streamed chat completion.
 *
 * @param {object} body the request, as OpenAI's API has it
 * @param {AbortSignal} signal aborting it cancels the work in the engine too
 * @returns {AsyncGenerator<ChatChunk>}
 * @throws {ApiError} also for an error that arrives in the middle of the stream
 */
export async function* streamChat(body, signal) {
  const response = await request('/v1/chat/completions', {
    method: 'POST',
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  if (!response.body) throw new ApiError('the service sent an empty answer', response.status);

  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const read = createEventReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new ApiError('the answer broke off: the connection to the service was lost', 0);
    for (const data of read(value)) {
      if (data === '[DONE]') return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ApiError(chunk.error.message, response.status);
      yield chunk;
    }
  }
}
