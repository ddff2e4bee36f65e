import { counted } from '../../../runtime/src/errors/counted';

test.each([
  [0, '0 requests'],
  [1, '1 request'],
  [2, '2 requests'],
  [0.5, '0.5 requests'],
])('%p is followed by the noun as it is said: %s', (count, said) => {
  expect(counted(count, 'request')).toBe(said);
});
