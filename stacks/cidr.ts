/** Ranges in CIDR notation, as security groups and networks take them. */
import { isIPv4, isIPv6 } from 'node:net';

interface Range {
  readonly first: number;
  readonly last: number;
}

/**
 * Whether the text is an IPv4 range with a prefix length between the bounds and no bits set behind it: AWS would
 * silently widen `10.0.0.7/24` to `10.0.0.0/24`, which is rarely what was meant.
 */
export function isIpv4Cidr(text: string, bounds: { readonly min: number; readonly max: number }): boolean {
  const [address, length, ...rest] = text.split('/');
  if (address === undefined || length === undefined || rest.length > 0) {
    return false;
  }
  if (!isIPv4(address) || !/^\d{1,2}$/.test(length)) {
    return false;
  }
  const prefix = Number(length);
  return prefix >= bounds.min && prefix <= bounds.max && toNumber(address) % 2 ** (32 - prefix) === 0;
}

/** The same for IPv6. */
export function isIpv6Cidr(text: string, bounds: { readonly min: number; readonly max: number }): boolean {
  const [address, length, ...rest] = text.split('/');
  if (address === undefined || length === undefined || rest.length > 0) {
    return false;
  }
  if (!isIPv6(address) || address.includes('%') || !/^\d{1,3}$/.test(length) || isMappedIpv4(address)) {
    return false;
  }
  const prefix = Number(length);
  if (prefix < bounds.min || prefix > bounds.max) {
    return false;
  }
  return toBigInt(address) % 2n ** BigInt(128 - prefix) === 0n;
}

/** A URL writes it in short and in hexadecimal groups alone, whatever form it had. */
function shortIpv6(address: string): string {
  return new URL(`http://[${address}]/`).hostname.slice(1, -1);
}

/** An IPv4 address in the writing of IPv6: no packet has it, and AWS refuses it. */
function isMappedIpv4(address: string): boolean {
  return shortIpv6(address).startsWith('::ffff:');
}

/** The range as AWS writes it, to which two writings of the same one are a repetition. */
export function canonicalCidr(cidr: string): string {
  const [address = '', prefix] = cidr.split('/');
  return `${isIpv6(address) ? shortIpv6(address) : address}/${Number(prefix)}`;
}

function toBigInt(address: string): bigint {
  const [head = '', tail] = shortIpv6(address)
    .split('::')
    .map((part) => part.split(':').filter((group) => group !== ''));
  const [before, after] = [[...head], [...(tail ?? [])]];
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return [...before, ...zeros, ...after].reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n);
}

export function cidrContains(outer: string, inner: string): boolean {
  const [a, b] = [toRange(outer), toRange(inner)];
  return a.first <= b.first && b.last <= a.last;
}

export function cidrsOverlap(one: string, other: string): boolean {
  const [a, b] = [toRange(one), toRange(other)];
  return a.first <= b.last && b.first <= a.last;
}

function toRange(cidr: string): Range {
  const [address = '', prefix = '32'] = cidr.split('/');
  const first = toNumber(address);
  return { first, last: first + 2 ** (32 - Number(prefix)) - 1 };
}

function toNumber(address: string): number {
  return address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);
}

export function isIpv6(cidr: string): boolean {
  return cidr.includes(':');
}
