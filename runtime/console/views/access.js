// @ts-check

import { fetchPolicy, replacePolicy } from '../api.js';
import { byId, el, setText } from '../dom.js';

/** @typedef {import('../api.js').Policy} Policy */
/** @typedef {import('../api.js').WordRule} WordRule */

const form = byId('access-form', HTMLFormElement);
const rules = byId('access-rules', HTMLElement);
const problem = byId('access-problem', HTMLElement);
const saved = byId('access-saved', HTMLElement);
const limits = {
  overall: byId('access-overall', HTMLInputElement),
  per_token: byId('access-per-token', HTMLInputElement),
  longest_request_seconds: byId('access-longest', HTMLInputElement),
};

/** What the form was filled from: its users are kept, and its revision goes back with a change. */
/** @type {{ policy: Policy, revision: string } | undefined} */
let loaded;
/** @type {(() => WordRule)[]} */
let readers = [];

/** @param {(error: unknown) => boolean} endsSession */
export function startAccess(endsSession) {
  /** @param {() => Promise<void>} work */
  const attempt = async (work) => {
    try {
      setText(saved, '');
      await work();
      showProblem('');
    } catch (error) {
      if (!endsSession(error)) showProblem(error instanceof Error ? error.message : String(error));
    }
  };
  byId('access-add', HTMLButtonElement).addEventListener('click', () => {
    addRule({ name: '', action: 'mask', on: ['input', 'output'], match: 'word', words: [] });
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void attempt(async () => {
      if (loaded === undefined) return;
      const policy = {
        sessions: readLimits(),
        users: loaded.policy.users,
        words: readers.map((read) => read()),
      };
      fill(await replacePolicy(policy, loaded.revision));
      setText(saved, 'Saved; in force now.');
    });
  });
  return {
    show: () => void attempt(async () => fill(await fetchPolicy())),
    clear() {
      loaded = undefined;
      readers = [];
      form.reset();
      rules.replaceChildren();
      showProblem('');
      setText(saved, '');
    },
  };
}

/** @param {string} text */
function showProblem(text) {
  problem.hidden = text === '';
  setText(problem, text);
}

/** @param {{ policy: Policy, revision: string, problem: string | null }} answer */
function fill(answer) {
  loaded = answer;
  for (const [name, input] of Object.entries(limits)) {
    input.value = String(answer.policy.sessions[/** @type {keyof typeof limits} */ (name)] ?? '');
  }
  readers = [];
  rules.replaceChildren();
  for (const rule of answer.policy.words) addRule(rule);
  const users = Object.entries(answer.policy.users).map(
    ([name, own]) =>
      `${name} (${Object.entries(own)
        .map(([key, value]) => `${key} ${value}`)
        .join(', ')})`,
  );
  setText(byId('access-users', HTMLElement), users.length ? `Exceptions: ${users.join('; ')}.` : '');
  if (answer.problem !== null)
    showProblem(`The file is broken, an older policy is in force: ${answer.problem}`);
}

function readLimits() {
  return Object.fromEntries(
    Object.entries(limits).flatMap(([name, input]) =>
      input.value === '' ? [] : [[name, input.valueAsNumber]],
    ),
  );
}

/** @param {WordRule} rule */
function addRule(rule) {
  const name = el('input', { required: true, maxlength: '64', value: rule.name });
  const action = choice(['mask', 'block'], rule.action);
  const match = choice(['word', 'part'], rule.match);
  const input = el('input', { type: 'checkbox', checked: rule.on.includes('input') });
  const output = el('input', { type: 'checkbox', checked: rule.on.includes('output') });
  const words = el('textarea', { rows: '4', spellcheck: 'false', required: true });
  words.value = rule.words.join('\n');
  const remove = el('button', { type: 'button', class: 'small' }, 'Remove');

  /** @returns {WordRule} */
  const read = () => ({
    name: name.value.trim(),
    action: /** @type {WordRule['action']} */ (action.value),
    match: /** @type {WordRule['match']} */ (match.value),
    on: /** @type {WordRule['on']} */ ([
      ...(input.checked ? ['input'] : []),
      ...(output.checked ? ['output'] : []),
    ]),
    words: words.value
      .split('\n')
      .map((word) => word.trim())
      .filter(Boolean),
  });
  const card = el(
    'fieldset',
    { class: 'card rule' },
    el('legend', { class: 'unseen' }, `Rule ${rule.name || 'without a name'}`),
    el('label', {}, 'Name ', name),
    el('label', {}, 'Do ', action),
    el('label', {}, 'Find ', match),
    el('label', { class: 'check' }, input, ' in requests'),
    el('label', { class: 'check' }, output, ' in answers'),
    el('label', { class: 'wide' }, 'Words, one a line', words),
    remove,
  );
  remove.addEventListener('click', () => {
    card.remove();
    readers = readers.filter((other) => other !== read);
  });
  readers.push(read);
  rules.append(card);
}

/**
 * @param {readonly string[]} values
 * @param {string} chosen
 */
function choice(values, chosen) {
  const select = el('select', {}, ...values.map((value) => el('option', { value }, value)));
  select.value = chosen;
  return select;
}
