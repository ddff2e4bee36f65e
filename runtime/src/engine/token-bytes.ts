/**
 * The bytes of a token, from how vocabularies write them: byte-level BPE (`gpt2`) as characters that stand for bytes,
 * SentencePiece (`llama`) as `<0xE2>`. Undefined for other tokenizers, and for tokens that are text.
 */
export function tokenBytes(written: string, tokenizer: string): readonly number[] | undefined {
  if (tokenizer === 'gpt2') {
    const bytes = [...written].map((char) => BYTE_OF.get(char));
    return bytes.every((byte) => byte !== undefined) ? bytes : undefined;
  }
  const match = /^<0x([0-9A-F]{2})>$/.exec(written);
  return match?.[1] === undefined ? undefined : [parseInt(match[1], 16)];
}

/** GPT-2's table: printable Latin-1 stands for itself, the other bytes for characters from U+0100 on, in order. */
const BYTE_OF: ReadonlyMap<string, number> = new Map(
  (() => {
    let next = 0x100;
    return Array.from({ length: 256 }, (_, byte): [string, number] => {
      const isPrintable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
      return [String.fromCodePoint(isPrintable ? byte : next++), byte];
    });
  })(),
);
