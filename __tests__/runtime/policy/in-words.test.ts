import { inWords } from '../../../runtime/src/policy/in-words';
import { checkPolicy } from '../../../runtime/src/policy/read';

const WORDS = [
  { name: 'names', action: 'mask', words: ['ada', 'bob'] },
  { name: 'bad', action: 'block', words: ['bad'] },
];

test.each<[object, string]>([
  [{}, "no limits but the configuration's, no word rules"],
  [{ words: WORDS }, "no limits but the configuration's, 2 word rules with 3 words"],
  [
    { sessions: { per_token: 1 }, words: WORDS.slice(1) },
    'at most 1 request at once with one token; 1 word rule with 1 word',
  ],
  [
    { sessions: { overall: 10, per_token: 5, longest_request_seconds: 120 } },
    'at most 10 requests at once in all, 5 requests at once with one token, 120 seconds a request; no word rules',
  ],
  [
    { sessions: { longest_request_seconds: 1 }, users: { ada: { per_token: 2 } } },
    'at most 1 second a request, except for 1 user; no word rules',
  ],
  [{ users: { ada: {}, bob: {} } }, "no limits but the configuration's, except for 2 users; no word rules"],
])('%j is told as a person would: %s', (policy, said) => {
  expect(inWords(checkPolicy(policy, 300))).toBe(said);
});
