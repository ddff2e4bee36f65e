import { cidrContains, cidrsOverlap, isIpv4Cidr } from '../../stacks/cidr';

const ANY = { min: 0, max: 32 };

describe('isIpv4Cidr', () => {
  it.each(['0.0.0.0/0', '10.0.0.0/8', '203.0.113.7/32', '192.168.128.0/17'])('takes %s', (cidr) => {
    expect(isIpv4Cidr(cidr, ANY)).toBe(true);
  });

  it.each([
    '10.0.0.0',
    '10.0.0.1/8',
    '10.0.0.0/33',
    '10.0.0/8',
    '256.0.0.0/8',
    '10.0.0.0/8/8',
    '::/0',
    '/8',
    '',
  ])('refuses %j', (cidr) => {
    expect(isIpv4Cidr(cidr, ANY)).toBe(false);
  });

  it('holds the prefix length to its bounds', () => {
    expect(isIpv4Cidr('10.0.0.0/15', { min: 16, max: 25 })).toBe(false);
    expect(isIpv4Cidr('10.0.0.0/26', { min: 16, max: 25 })).toBe(false);
  });
});

describe('ranges', () => {
  it('know when one lies in another', () => {
    expect(cidrContains('10.0.0.0/8', '10.255.255.0/24')).toBe(true);
    expect(cidrContains('10.0.0.0/8', '11.0.0.0/24')).toBe(false);
    expect(cidrContains('10.0.0.0/24', '10.0.0.0/8')).toBe(false);
  });

  it('know when they overlap, whichever is larger', () => {
    expect(cidrsOverlap('10.0.0.0/8', '10.1.0.0/16')).toBe(true);
    expect(cidrsOverlap('10.1.0.0/16', '10.0.0.0/8')).toBe(true);
    expect(cidrsOverlap('255.255.255.0/24', '0.0.0.0/1')).toBe(false);
  });
});
