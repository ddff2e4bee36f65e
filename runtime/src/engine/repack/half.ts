/** IEEE 754 half precision, as GGUF stores scales. */

/** The value of each of the 65,536 halves. */
export function halfTable(): Float32Array {
  return Float32Array.from({ length: 0x10000 }, (_, half) => fromHalf(half));
}

function fromHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const asFloat = new Float32Array(1);
const asBits = new Uint32Array(asFloat.buffer);

/** The half nearest to a finite number from 0 to 65,504. */
export function toHalf(value: number): number {
  if (value < 2 ** -14) return Math.round(value * 2 ** 24);
  asFloat[0] = value;
  const bits = asBits[0] as number;
  // Ties to even, then the exponent's bias of 127 becomes 15.
  return ((bits + 0x0fff + ((bits >>> 13) & 1)) >>> 13) - (112 << 10);
}
