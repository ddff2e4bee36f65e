import { tokenBytes } from '../../../runtime/src/engine/token-bytes';

test.each<[string, string, string, readonly number[] | undefined]>([
  ['a word behind a space', 'Ġthe', 'gpt2', [0x20, 0x74, 0x68, 0x65]],
  ['the first half of é', 'Ã', 'gpt2', [0xc3]],
  ['its second half', '©', 'gpt2', [0xa9]],
  ['the first bytes of an emoji', 'ðŁ', 'gpt2', [0xf0, 0x9f]],
  ['a soft hyphen’s byte', 'Ń', 'gpt2', [0xad]],
  ['a line break', 'Ċ', 'gpt2', [0x0a]],
  ['no byte-level token', '你', 'gpt2', undefined],
  ['a byte', '<0xE2>', 'llama', [0xe2]],
  ['a text', '▁the', 'llama', undefined],
])('%s', (_what, written, tokenizer, bytes) => {
  expect(tokenBytes(written, tokenizer)).toEqual(bytes);
});
