/** As much of the GGUF format (version 3) as it takes to copy a tokenizer. */

/** The number that stands before a value and tells its type. */
const enum ValueType {
  uint8 = 0,
  int8 = 1,
  uint16 = 2,
  int16 = 3,
  uint32 = 4,
  int32 = 5,
  float32 = 6,
  bool = 7,
  string = 8,
  array = 9,
  uint64 = 10,
  int64 = 11,
  float64 = 12,
}

const FIXED_SIZE: Partial<Record<ValueType, number>> = {
  [ValueType.uint8]: 1,
  [ValueType.int8]: 1,
  [ValueType.uint16]: 2,
  [ValueType.int16]: 2,
  [ValueType.uint32]: 4,
  [ValueType.int32]: 4,
  [ValueType.float32]: 4,
  [ValueType.bool]: 1,
  [ValueType.uint64]: 8,
  [ValueType.int64]: 8,
  [ValueType.float64]: 8,
};

/** One key with its value, as it stands in the file. */
export interface RawEntry {
  readonly key: string;
  /** Key, type and value: what to write to copy the entry. */
  readonly bytes: Buffer;
  /** The elements of an array of 32-bit integers; empty for every other type. */
  readonly values: readonly number[];
}

/** Reads the entries of a GGUF header from the file's first bytes. */
export class GgufReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  entries(): RawEntry[] {
    if (this.#bytes.toString('latin1', 0, 4) !== 'GGUF')
      throw new Error('not a GGUF file: it does not begin with GGUF');
    this.#at = 16; // magic, version, tensor count
    const count = this.#uint64();
    return Array.from({ length: count }, () => this.#entry());
  }

  #entry(): RawEntry {
    const start = this.#at;
    const key = this.#string();
    const values = this.#skipValue(this.#uint32());
    return { key, bytes: this.#bytes.subarray(start, this.#at), values };
  }

  #skipValue(type: ValueType): number[] {
    const size = FIXED_SIZE[type];
    if (size !== undefined) {
      this.#at += size;
    } else if (type === ValueType.string) {
      this.#string();
    } else if (type === ValueType.array) {
      const elementType: ValueType = this.#uint32();
      const length = this.#uint64();
      if (elementType === ValueType.int32) return Array.from({ length }, () => this.#uint32());
      for (let i = 0; i < length; i++) this.#skipValue(elementType);
    } else {
      throw new Error(`unknown GGUF value type ${type as number} at byte ${this.#at}`);
    }
    return [];
  }

  #uint32(): number {
    this.#at += 4;
    return this.#bytes.readUInt32LE(this.#at - 4);
  }

  #uint64(): number {
    this.#at += 8;
    return Number(this.#bytes.readBigUInt64LE(this.#at - 8));
  }

  #string(): string {
    const length = this.#uint64();
    this.#at += length;
    return this.#bytes.toString('utf8', this.#at - length, this.#at);
  }
}
