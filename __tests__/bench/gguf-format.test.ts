import { GgufReader } from '../../bench/gguf-format';
import { kv } from '../../runtime/src/models/gguf-header';

/** A header with a string, an array of strings, an array of integers and a number. */
function header(entries: Buffer[]): Buffer {
  const start = Buffer.alloc(24);
  start.write('GGUF');
  start.writeUInt32LE(3, 4);
  start.writeBigUInt64LE(BigInt(entries.length), 16);
  return Buffer.concat([start, ...entries, Buffer.from('tensor data follows')]);
}

describe('GgufReader', () => {
  const text = kv.string('tokenizer.chat_template', 'été');
  const number = kv.uint32('llama.block_count', 16);
  const fraction = kv.float32('llama.rope.freq_base', 500_000);
  // key, type array (9), element type int32 (5), length 3
  const list = Buffer.concat([
    kv.uint32('tokenizer.ggml.token_type', 0).subarray(0, -8),
    Buffer.from([9, 0, 0, 0, 5, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 6, 0, 0, 0]),
  ]);

  it('finds where each entry begins and ends, whatever its type', () => {
    const entries = new GgufReader(header([text, list, number, fraction])).entries();
    expect(entries.map((entry) => entry.key)).toEqual([
      'tokenizer.chat_template',
      'tokenizer.ggml.token_type',
      'llama.block_count',
      'llama.rope.freq_base',
    ]);
    expect(entries.map((entry) => entry.bytes)).toEqual([text, list, number, fraction]);
    expect(entries[1]?.values).toEqual([3, 1, 6]);
  });

  it('refuses a file that is something else', () => {
    expect(() => new GgufReader(Buffer.from('PK\u0003\u0004')).entries()).toThrow('not a GGUF file');
  });
});
