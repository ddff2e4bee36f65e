import type { ChatRequest } from './chat-request.js';

/** Common words: with a space before it, each is one token in SmolLM2's vocabulary. */
const WORDS = (
  'time year people way day man thing woman life child world school state family student group country problem hand ' +
  'part place case week company system program question work government number night point home water room mother ' +
  'area money story fact month lot right study book eye job word business issue side kind head house service friend ' +
  'father power hour game line end member law car city community name president team minute idea body information ' +
  'back parent face others level office door health person art war history party result change morning reason ' +
  'research girl guy moment air teacher force education'
).split(' ');

/** A small repeatable generator (mulberry32): both servers get the same words, each round gets others. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function words(count: number, seed: number): string {
  const next = random(seed);
  return Array.from({ length: count }, () => WORDS[Math.floor(next() * WORDS.length)]).join(' ');
}

/** Asks for an answer that goes on for longer than anyone waits, so that `maxTokens` ends it. */
export function longAnswer(maxTokens: number, seed: number): ChatRequest {
  return {
    messages: [
      { role: 'system', content: `Note ${seed}. You write at length and never stop early.` },
      {
        role: 'user',
        content: 'Write a very long and detailed essay on the history of the Roman Empire, in many chapters.',
      },
    ],
    maxTokens,
    seed,
  };
}

const SENTENCES = [
  'The harbour of the old town was closed in the winter, when the ice came down from the river.',
  'A small bakery on the corner sold bread with nuts and dried apples to the people who worked at night.',
  'Every spring the school invites a painter, who shows the children how colours are made from stones.',
  'The train to the mountains leaves at seven and takes four hours, because it stops in every village.',
  'My grandmother kept her letters in a wooden box that nobody else was allowed to open.',
  'In the library there is a map of the valley, drawn by hand before the dam was built.',
  'The museum bought three clocks from a farmer who had found them under the floor of his barn.',
  'After the storm the neighbours repaired the bridge together and painted it green.',
  'The doctor visits the island twice a month, and brings the newspapers of the weeks before.',
  'On Sundays an orchestra of retired sailors plays in the park behind the town hall.',
  'The gardener plants beans between the roses, since that is how his father did it.',
  'A fox lives under the stage of the theatre and comes out when the audience has gone home.',
];

/** Asks for about 100 tokens of the prompt again, in another order for each seed. */
export function quotation(maxTokens: number, seed: number): ChatRequest {
  const next = random(seed);
  const ranked = SENTENCES.map((sentence) => ({ sentence, rank: next() })).sort((a, b) => a.rank - b.rank);
  const text = ranked.slice(0, 6).map(({ sentence }) => sentence);
  return {
    messages: [
      {
        role: 'user',
        content: `Correct the spelling of this text and repeat all of it:\n\n${text.join(' ')}`,
      },
    ],
    maxTokens,
    seed,
  };
}

/** About 900 tokens that differ from the first word on, so that no cached prefix helps. */
export function longPrompt(seed: number): ChatRequest {
  return {
    messages: [
      { role: 'system', content: words(870, seed) },
      { role: 'user', content: 'Count the words above.' },
    ],
    // A few, so that a first token without text (half a character) does not leave the answer empty.
    maxTokens: 4,
    seed,
  };
}

/** A prompt of about `tokens` tokens, unlike any other from the first word on; the answer goes on to `maxTokens`. */
export function ownPrompt(tokens: number, maxTokens: number, seed: number): ChatRequest {
  return {
    messages: [
      { role: 'system', content: words(tokens - 30, seed) },
      { role: 'user', content: 'Write a very long story about the words above.' },
    ],
    maxTokens,
    seed,
  };
}

/** The same long system prompt for all users of a round; what each asks differs. */
export function sharedPrompt(tokens: number, maxTokens: number, seed: number, user: number): ChatRequest {
  return {
    messages: [
      { role: 'system', content: words(tokens - 30, seed) },
      { role: 'user', content: `Write a very long story about the number ${user} and the words above.` },
    ],
    maxTokens,
    seed: seed + user,
  };
}

/** The turn after `first`, as a client sends it: everything so far, and one question more. */
export function nextTurn(first: ChatRequest): ChatRequest {
  return {
    ...first,
    messages: [
      ...first.messages,
      { role: 'assistant', content: 'Once upon a time there was a word.' },
      { role: 'user', content: 'And then?' },
    ],
  };
}
