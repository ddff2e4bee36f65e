import { cleanToken, describeToken } from '../../../runtime/console/lib/token.js';
import { duration, rate } from '../../../runtime/console/lib/format.js';

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a pasted token', () => {
  it.each([
    'eyJ.a.b',
    '  eyJ.a.b\n',
    'Bearer eyJ.a.b',
    'Generated Access Token: eyJ.a.b\nToken Expiry: 2026-03-01T12:00:00.000Z',
  ])('is found in %j', (pasted) => {
    expect(cleanToken(pasted)).toBe('eyJ.a.b');
  });

  it('says whose it is and when it ends', () => {
    const token = [part({ alg: 'HS256' }), part({ sub: 'Zoë', exp: 1_800_000_000 }), 'signature'].join('.');
    expect(describeToken(token)).toEqual({ user: 'Zoë', expires: new Date(1_800_000_000_000) });
  });

  it('says nothing when it is the API key or damaged', () => {
    expect(describeToken('sk-abcdef')).toEqual({});
    expect(describeToken('a.!!!.c')).toEqual({});
    expect(describeToken(`a.${part({ sub: 5 })}.c`)).toEqual({});
  });
});

describe('figures for people', () => {
  it.each([
    [0.0321, '32 ms'],
    [4.23, '4.2 s'],
    [42.4, '42 s'],
    [185, '3 min 5 s'],
    [7800, '2 h 10 min'],
    [356_400, '4 d 3 h'],
    [undefined, '–'],
  ])('%p seconds read %p', (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });

  it.each([
    [0, '0'],
    [9.874, '9.87'],
    [42.08, '42.1'],
    [1204.4, '1,204'],
    [Infinity, '–'],
  ])('a rate of %p reads %p', (value, text) => {
    expect(rate(value)).toBe(text);
  });
});
