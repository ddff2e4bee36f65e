// @ts-check

import { byId, el, setText } from '../dom.js';
import { count, duration, rate, unknown } from '../lib/format.js';
import { createRate, parseMetrics, quantileOf, sumOf } from '../lib/metrics.js';
import { createSparkline } from './sparkline.js';

/** @typedef {import('../api.js').Status} Status */

const banner = byId('status-banner', HTMLElement);
const headline = byId('status-headline', HTMLElement);
const reason = byId('status-reason', HTMLElement);
const state = byId('state', HTMLElement);

/** What each state means to somebody who uses the endpoint. */
const states = {
  ready: { word: 'Ready', says: 'The model is loaded and answers.' },
  loading: {
    word: 'Loading',
    says: 'The model is being loaded. Until it has answered once, requests get 503.',
  },
  switching: {
    word: 'Switching',
    says: 'Another model takes the place of this one; requests wait.',
  },
  restarting: {
    word: 'Restarting',
    says: 'The engine stopped and is being started again; requests get 503.',
  },
  failed: { word: 'Failed', says: 'The model cannot be started; requests get 503.' },
  stopped: { word: 'Stopping', says: 'The service is shutting down.' },
};

const tiles = {
  speed: tile('Tokens per second', 'over the last 10 s'),
  first: tile('Time to first token', 'median'),
  running: tile('Answering now'),
  waiting: tile('Waiting'),
  requests: tile('Chat requests'),
  failures: tile('Failed requests'),
};
const sparkline = createSparkline(60);
let generated = createRate(10);

export function startStatus() {
  byId('status-tiles', HTMLElement).append(...Object.values(tiles).map(({ element }) => element));
  tiles.speed.element.append(sparkline.element);
}

/** @param {Status} status */
export function showStatus({ engine, model, other_models: others, limits, service, ...status }) {
  const { word, says } = states[engine.state];
  setText(state, word);
  state.dataset.state = engine.state;
  banner.dataset.state = engine.state;
  setText(headline, word);
  setText(reason, engine.reason ? `${says} Reason: ${engine.reason}` : says);

  tiles.running.show(count(engine.running), `of ${count(model.sequences)} at once`);
  tiles.waiting.show(count(engine.waiting), `${count(limits.max_queue)} may wait`);
  define('status-model', [
    ['Name', model.id],
    ['Context', `${count(model.context_size)} tokens for each sequence`],
    ['Sequences', count(model.sequences)],
    ['Settings', model.notes],
    ...others.map(
      (other) =>
        /** @type {[string, string]} */ ([
          'Beside it',
          `${other.model.id}: ${states[other.engine.state].word}`,
        ]),
    ),
  ]);
  define('status-service', [
    ['Name', [service.name, service.version].filter(Boolean).join(' ')],
    ['Runtime', status.version],
    ['Up for', duration(status.uptime_seconds)],
    ['Engine restarts', count(engine.restarts)],
    ['Longest request', duration(limits.max_request_seconds)],
  ]);
}

/**
 * @param {string} text what /metrics answered
 * @param {number} at when, in seconds
 */
export function showMetrics(text, at) {
  const samples = parseMetrics(text);
  const tokens = sumOf(samples, 'botstack_generation_tokens_total') ?? 0;
  // Counted as each is sent, while the total above grows only as answers end.
  const sent = ['inter_token_latency_seconds_count', 'time_to_first_token_seconds_count']
    .map((name) => sumOf(samples, `botstack_${name}`) ?? 0)
    .reduce((a, b) => a + b);
  const perSecond = generated(sent, at);
  tiles.speed.show(rate(perSecond));
  if (perSecond !== undefined) sparkline.add(perSecond);

  const [middle, slow] = [0.5, 0.95].map((q) =>
    quantileOf(samples, 'botstack_time_to_first_token_seconds', q),
  );
  tiles.first.show(
    duration(middle),
    slow === undefined ? 'no answer yet' : `median; 95 % within ${duration(slow)}`,
  );
  const requests = sumOf(samples, 'botstack_requests_total', isChat) ?? 0;
  const failures = sumOf(samples, 'botstack_requests_total', (labels) => isChat(labels) && isFailure(labels));
  tiles.requests.show(count(requests), `${count(tokens)} tokens written`);
  tiles.failures.show(count(failures ?? 0), 'answered with an error');
}

/**
 * Probes and this console's own requests would drown the chats.
 *
 * @param {Record<string, string>} labels
 */
const isChat = ({ route = '' }) => route.includes('chat');

/**
 * By the error's code, not the status: a stream that broke had begun with 200, and a reader who left (499) is no
 * failure.
 *
 * @param {Record<string, string>} labels
 */
const isFailure = ({ code = '' }) => code !== '';

/** Forgets what belongs to the session that ends. */
export function clearStatus() {
  generated = createRate(10);
  sparkline.clear();
  setText(state, '');
}

/**
 * @param {string} name
 * @param {string} [detail]
 */
function tile(name, detail = '') {
  const value = el('dd', { class: 'value' }, unknown);
  const note = el('dd', { class: 'note' }, detail);
  return {
    element: el('dl', { class: 'tile' }, el('dt', {}, name), value, note),
    /**
     * @param {string} text
     * @param {string} [more]
     */
    show(text, more) {
      setText(value, text);
      if (more !== undefined) setText(note, more);
    },
  };
}

/**
 * @param {string} id a definition list
 * @param {[string, string | readonly string[]][]} entries
 */
function define(id, entries) {
  const list = byId(id, HTMLElement);
  const wanted = JSON.stringify(entries);
  if (list.dataset.shows === wanted) return;
  list.dataset.shows = wanted;
  list.replaceChildren(
    ...entries.flatMap(([name, value]) => [
      el('dt', {}, name),
      ...[value].flat().map((line) => el('dd', {}, line)),
    ]),
  );
}
