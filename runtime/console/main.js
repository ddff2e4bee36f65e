// @ts-check

import { ApiError, fetchLog, fetchMetrics, fetchStatus } from './api.js';
import { byId, setText } from './dom.js';
import { allows, cleanToken, describeToken } from './lib/token.js';
import { session } from './session.js';
import { startAccess } from './views/access.js';
import { clearChat, showModels, startChat } from './views/chat.js';
import { clearLog, followEnd, showLog, startLogs } from './views/logs.js';
import { clearStatus, showMetrics, showStatus, startStatus } from './views/status.js';
import { startTokens } from './views/tokens.js';

const refreshEveryMs = 2000;
/** The views, and the scope that each one needs. */
const views = { chat: 'chat', status: '', logs: 'logs:read', tokens: 'admin', access: 'admin' };

const signIn = byId('sign-in', HTMLElement);
const app = byId('app', HTMLElement);
const content = byId('content', HTMLElement);
const token = byId('token', HTMLInputElement);
const signInError = byId('sign-in-error', HTMLElement);
const signInButton = byId('sign-in-button', HTMLButtonElement);
const offline = byId('offline', HTMLElement);

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
/** What the session's credential may do. @type {import('./api.js').Status['scopes']} */
let scopes = [];

/** @param {string} [message] why the session ended */
function showSignIn(message = '') {
  clearTimeout(timer);
  session.end();
  clearChat();
  clearLog();
  clearStatus();
  tokens.clear();
  access.clear();
  scopes = [];
  app.hidden = true;
  signIn.hidden = false;
  showSignInError(message);
  token.value = '';
  token.focus();
}

/** @param {string} message */
function showSignInError(message) {
  signInError.hidden = message === '';
  setText(signInError, message);
  token.setAttribute('aria-invalid', String(message !== ''));
}

async function submitToken() {
  const given = cleanToken(token.value);
  signInButton.disabled = true;
  try {
    show(await fetchStatus(given));
  } catch (error) {
    showSignInError(error instanceof ApiError ? error.message : String(error));
    token.select();
    return;
  } finally {
    signInButton.disabled = false;
  }
  session.start(given);
  showSignInError('');
  token.value = '';
  showApp();
  content.focus();
}

function showApp() {
  const { user, expires } = describeToken(session.token);
  const until = expires?.toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
  setText(byId('user', HTMLElement), (user ?? 'API key') + (until ? `, until ${until}` : ''));
  signIn.hidden = true;
  app.hidden = false;
  showView();
  void refresh();
}

/** Reads status and figures, shows them, and comes back in two seconds while the page can be seen. */
async function refresh() {
  clearTimeout(timer);
  const used = session.token;
  try {
    const [status, metrics, log] = await Promise.all([
      fetchStatus(),
      allows(scopes, 'metrics:read') ? fetchMetrics() : undefined,
      allows(scopes, 'logs:read') ? fetchLog() : undefined,
    ]);
    if (used !== session.token) return;
    show(status);
    if (metrics !== undefined) showMetrics(metrics, performance.now() / 1000);
    if (log !== undefined) showLog(log);
    offline.hidden = true;
  } catch (error) {
    if (used !== session.token || endsSession(error)) return;
    offline.hidden = false;
    setText(offline, error instanceof Error ? error.message : String(error));
    showUnreachable();
  }
  if (!document.hidden) timer = setTimeout(() => void refresh(), refreshEveryMs);
}

function showUnreachable() {
  const state = byId('state', HTMLElement);
  setText(state, 'Unreachable');
  state.dataset.state = 'failed';
}

/** @param {import('./api.js').Status} status */
function show(status) {
  showStatus(status);
  const models = [status, ...status.other_models].filter(({ model }) => model.makes !== 'embeddings');
  showModels(
    models.map(({ model }) => model.id),
    status.limits,
  );
  if (String(scopes) === String(status.scopes)) return;
  scopes = status.scopes;
  showView();
}

/**
 * Asks for a new token where the old one is no longer accepted.
 *
 * @param {unknown} error
 */
function endsSession(error) {
  if (!(error instanceof ApiError) || error.status !== 401) return false;
  showSignIn(error.message);
  return true;
}

function showView() {
  const asked = location.hash.slice(1);
  const open = Object.entries(views).flatMap(([view, scope]) => (allows(scopes, scope) ? [view] : []));
  const name = open.includes(asked) ? asked : (open[0] ?? 'status');
  for (const view of Object.keys(views)) byId(`view-${view}`, HTMLElement).hidden = view !== name;
  for (const link of document.querySelectorAll('nav a')) {
    if (link instanceof HTMLElement) link.hidden = !open.includes(link.getAttribute('href')?.slice(1) ?? '');
    if (link.getAttribute('href') === `#${name}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `${name[0]?.toUpperCase()}${name.slice(1)} – botstack console`;
  // The keyboard scrolls what has the focus; the other views have a scrolled part of their own.
  content.tabIndex = ['status', 'tokens', 'access'].includes(name) ? 0 : -1;
  if (name === 'logs') followEnd();
  if (name === 'tokens') tokens.show();
  if (name === 'access') access.show();
}

startChat(endsSession);
startStatus();
startLogs();
const tokens = startTokens(endsSession);
const access = startAccess(endsSession);

byId('sign-in-form', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  void submitToken();
});
byId('sign-out', HTMLButtonElement).addEventListener('click', () => showSignIn());
byId('skip', HTMLAnchorElement).addEventListener('click', (event) => {
  // The hash names the view; leave it as it is.
  event.preventDefault();
  content.focus();
});
window.addEventListener('hashchange', showView);
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && !app.hidden) void refresh();
});

if (session.token) showApp();
else showSignIn();
