// @ts-check

import { fetchTokens, issueToken, revokeToken } from '../api.js';
import { byId, el, setText } from '../dom.js';

/** @typedef {import('../api.js').Token} Token */

const rows = byId('token-rows', HTMLElement);
const form = byId('token-form', HTMLFormElement);
const user = byId('token-user', HTMLInputElement);
const days = byId('token-days', HTMLInputElement);
const problem = byId('token-problem', HTMLElement);
const made = byId('token-made', HTMLElement);
const madeText = byId('token-made-text', HTMLElement);

/** @param {(error: unknown) => boolean} endsSession */
export function startTokens(endsSession) {
  /** @param {() => Promise<void>} work */
  const attempt = async (work) => {
    try {
      await work();
      showProblem('');
    } catch (error) {
      if (!endsSession(error)) showProblem(error instanceof Error ? error.message : String(error));
    }
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void attempt(async () => {
      const { token } = await issueToken({
        user: user.value.trim(),
        scopes: [...form.querySelectorAll('input[name=scope]')].flatMap((box) =>
          box instanceof HTMLInputElement && box.checked ? [box.value] : [],
        ),
        expiry_seconds: Math.round(days.valueAsNumber * 86400),
      });
      setText(madeText, token);
      made.hidden = false;
      await load(attempt);
    });
  });
  byId('token-copy', HTMLButtonElement).addEventListener('click', () => {
    void navigator.clipboard.writeText(madeText.textContent ?? '');
  });
  return {
    show: () => void attempt(() => load(attempt)),
    clear() {
      rows.replaceChildren();
      setText(madeText, '');
      made.hidden = true;
      showProblem('');
    },
  };
}

/** @param {string} text */
function showProblem(text) {
  problem.hidden = text === '';
  setText(problem, text);
}

/** @param {(work: () => Promise<void>) => Promise<void>} attempt */
async function load(attempt) {
  const tokens = await fetchTokens();
  rows.replaceChildren(...tokens.map((token) => rowOf(token, attempt)));
  byId('token-none', HTMLElement).hidden = tokens.length > 0;
}

/**
 * @param {Token} token
 * @param {(work: () => Promise<void>) => Promise<void>} attempt
 */
function rowOf(token, attempt) {
  const state = stateOf(token);
  const revoke = el('button', { type: 'button', class: 'small' }, 'Revoke');
  revoke.setAttribute('aria-label', `Revoke the token of ${token.user}, issued ${time(token.issued_at)}`);
  revoke.addEventListener('click', () => {
    void attempt(async () => {
      await revokeToken(token.id);
      await load(attempt);
    });
  });
  return el(
    'tr',
    {},
    el('td', { title: token.id }, token.user || '?'),
    el('td', {}, token.scopes.join(', ')),
    el('td', {}, time(token.issued_at)),
    el('td', {}, time(token.expires_at)),
    el('td', { class: state.replace(' ', '-') }, state),
    el('td', {}, ...(state === 'not revoked' ? [revoke] : [])),
  );
}

/**
 * As `bot token list` says it. Whether a token is valid, the register does not know: its API key may be gone.
 *
 * @param {Token} token
 */
function stateOf({ revoked_at: revoked, expires_at: expires }) {
  if (revoked !== null) return 'revoked';
  return expires * 1000 <= Date.now() ? 'expired' : 'not revoked';
}

/** @param {number} seconds */
const time = (seconds) =>
  new Date(seconds * 1000).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
