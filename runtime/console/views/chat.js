// @ts-check

import { ApiError, streamChat } from '../api.js';
import { atEnd, byId, el, scrollToEnd } from '../dom.js';
import { count, duration, rate } from '../lib/format.js';
import { renderMarkdown } from './markdown.js';

/** @typedef {{ role: 'user' | 'assistant', content: string }} Message */

const transcript = byId('transcript', HTMLElement);
const empty = byId('chat-empty', HTMLElement);
const form = byId('chat-form', HTMLFormElement);
const input = byId('chat-input', HTMLTextAreaElement);
const send = byId('chat-send', HTMLButtonElement);
const stop = byId('chat-stop', HTMLButtonElement);
const fresh = byId('chat-new', HTMLButtonElement);
const spoken = byId('chat-spoken', HTMLElement);
const model = byId('chat-model', HTMLSelectElement);
const modelLabel = byId('chat-model-label', HTMLElement);
const temperature = byId('chat-temperature', HTMLInputElement);
const maxTokens = byId('chat-max-tokens', HTMLInputElement);

/** @type {Message[]} what the model is sent: the conversation without what failed */
let messages = [];
/** @type {AbortController | undefined} set while an answer is being written */
let running;

/** @param {(error: unknown) => boolean} onRefused takes over errors that end the session: returns true for those */
export function startChat(onRefused) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const content = input.value.trim();
    if (content === '' || running) return;
    input.value = '';
    fitInput();
    abandonFailed();
    transcript.append(turn('user', content).article);
    messages.push({ role: 'user', content });
    void answer(onRefused);
  });
  input.addEventListener('input', fitInput);
  input.addEventListener('keydown', (event) => {
    // isComposing: Enter then chooses a word of an input method and must not send.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') running?.abort();
  });
  stop.addEventListener('click', () => running?.abort());
  fresh.addEventListener('click', clearChat);
}

export function clearChat() {
  messages = [];
  running?.abort();
  setRunning(undefined);
  transcript.replaceChildren(empty);
  fresh.hidden = true;
  input.focus();
}

/**
 * @param {readonly string[]} names what requests may name; with one there is nothing to choose
 * @param {{ temperature: number, max_tokens: number }} defaults what the service takes for fields left empty
 */
export function showModels(names, defaults) {
  const shown = [...model.options].map(({ value }) => value);
  if (JSON.stringify(shown) !== JSON.stringify(names)) {
    const chosen = model.value;
    model.replaceChildren(...names.map((name) => el('option', { value: name }, name)));
    if (names.includes(chosen)) model.value = chosen;
  }
  modelLabel.hidden = names.length < 2;
  temperature.placeholder = String(defaults.temperature);
  maxTokens.placeholder = String(defaults.max_tokens);
}

/** @param {(error: unknown) => boolean} onRefused */
async function answer(onRefused) {
  const abort = new AbortController();
  const conversation = messages;
  const { article, body, note } = turn('assistant');
  const started = performance.now();
  let text = '';
  let firstAt = 0;
  /** @type {import('../api.js').Usage | undefined} */
  let usage;
  /** @type {string | null} */
  let finish = null;
  /** @type {unknown} */
  let failure;

  const show = createPainter(() => renderMarkdown(body, text));
  setRunning(abort);
  article.setAttribute('aria-busy', 'true');
  note.textContent = 'Reading the conversation …';
  transcript.append(article);
  scrollToEnd(transcript);
  try {
    for await (const chunk of streamChat(
      { model: model.value, messages: conversation, ...settings() },
      abort.signal,
    )) {
      const [choice] = chunk.choices;
      if (choice?.delta.content) {
        if (text === '') {
          firstAt = performance.now();
          note.textContent = '';
        }
        text += choice.delta.content;
        show();
      }
      finish = choice?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
  } catch (error) {
    failure = error;
  }
  const seconds = { first: (firstAt - started) / 1000, writing: (performance.now() - firstAt) / 1000 };
  const follow = atEnd(transcript);
  show.now();
  article.removeAttribute('aria-busy');
  if (conversation !== messages) return; // a new conversation was begun meanwhile

  setRunning(undefined);
  if (text !== '' && (abort.signal.aborted || !failure)) messages.push({ role: 'assistant', content: text });
  if (abort.signal.aborted) {
    note.textContent = 'Stopped.';
    spoken.textContent = 'Stopped';
    if (text === '') takeBack(article);
  } else if (failure) {
    note.textContent = '';
    if (!onRefused(failure)) article.append(failureNote(failure, article, onRefused));
  } else {
    note.textContent = summary(usage, seconds, finish);
    spoken.textContent = 'Answer complete';
  }
  if (follow) scrollToEnd(transcript);
}

/**
 * A question that was stopped before any answer goes back to where it was typed.
 *
 * @param {HTMLElement} article the answer that never began
 */
function takeBack(article) {
  article.previousElementSibling?.remove();
  article.remove();
  const question = messages.pop()?.content ?? '';
  if (input.value === '') input.value = question;
  fitInput();
}

/** A question without an answer is left out of what follows: many models insist that turns alternate. */
function abandonFailed() {
  if (messages.at(-1)?.role === 'user') messages.pop();
  for (const button of transcript.querySelectorAll('.notice button')) button.remove();
}

/**
 * @param {unknown} error
 * @param {HTMLElement} article the answer that failed; trying again replaces it
 * @param {(error: unknown) => boolean} onRefused
 */
function failureNote(error, article, onRefused) {
  const message = error instanceof ApiError ? error.message : String(error);
  const retry = () => {
    if (running) return;
    article.remove();
    void answer(onRefused);
  };
  return el(
    'div',
    { class: 'notice error', role: 'alert' },
    el('p', {}, message),
    el('button', { type: 'button', class: 'small', onclick: retry }, 'Try again'),
  );
}

/**
 * @param {import('../api.js').Usage | undefined} usage
 * @param {{ first: number, writing: number }} seconds
 * @param {string | null} finish
 */
function summary(usage, seconds, finish) {
  const parts = [];
  if (usage) {
    const { prompt_tokens: prompt, completion_tokens: written } = usage;
    const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
    parts.push(
      `${count(written)} tokens` +
        // The first token belongs to the wait before it.
        (written > 1 ? ` at ${rate((written - 1) / seconds.writing)} tokens/s` : ''),
    );
    if (written > 0) parts.push(`first after ${duration(seconds.first)}`);
    parts.push(`prompt ${count(prompt)}${cached ? `, ${count(cached)} of them cached` : ''}`);
  }
  if (finish === 'length') parts.push('cut off at the most tokens allowed');
  return parts.join(' · ');
}

function settings() {
  return {
    ...(temperature.value !== '' && { temperature: temperature.valueAsNumber }),
    ...(maxTokens.value !== '' && { max_tokens: maxTokens.valueAsNumber }),
  };
}

/** @param {AbortController | undefined} abort */
function setRunning(abort) {
  running = abort;
  const hadFocus = document.activeElement === stop || document.activeElement === send;
  send.hidden = abort !== undefined;
  stop.hidden = abort === undefined;
  fresh.hidden = false;
  empty.remove();
  spoken.textContent = abort ? 'The model is answering' : '';
  // The button that had the focus has just been hidden.
  if (hadFocus) (abort ? stop : input).focus();
}

function fitInput() {
  input.rows = Math.min(8, Math.max(1, input.value.split('\n').length));
}

/**
 * @param {'user' | 'assistant'} role
 * @param {string} content
 */
function turn(role, content = '') {
  const body = el('div', { class: 'body' });
  const note = el('p', { class: 'note' });
  const who = role === 'user' ? 'You' : 'Model';
  const article = el('article', { class: `turn ${role}`, 'aria-label': who }, el('h2', {}, who), body, note);
  if (role === 'user') body.append(el('p', {}, content));
  return { article, body, note };
}

/**
 * Draws at most once a frame, and follows the text only while the reader is at its end.
 *
 * @param {() => void} draw
 */
function createPainter(draw) {
  let frame = 0;
  const now = () => {
    cancelAnimationFrame(frame);
    frame = 0;
    const follow = atEnd(transcript);
    draw();
    if (follow) scrollToEnd(transcript);
  };
  return Object.assign(() => void (frame ||= requestAnimationFrame(now)), { now });
}
