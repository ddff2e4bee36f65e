import type { Token } from '../../../runtime/src/engine/native';
import { Sequence } from '../../../runtime/src/engine/sequence';
import { usablePrefix } from '../../../runtime/src/engine/token-prefix';
import { NativeStandIn } from './support/native-stand-in';

const tokens = (length: number): Token[] => Array.from({ length }, (_, id) => id as Token);

function evaluated(length: number, context: NativeStandIn, window?: number): Sequence {
  const sequence = new Sequence(0, context, window);
  sequence.evaluated(tokens(length));
  return sequence;
}

it('keeps the beginning that is asked for', () => {
  const context = new NativeStandIn();
  const sequence = evaluated(10, context);
  expect(sequence.keepFirst(12)).toBe(10);
  expect(context.calls).toEqual([]);
  expect(sequence.keepFirst(4)).toBe(4);
  expect(context.calls).toEqual(['forget 0 from 4']);
  expect(sequence.tokens).toEqual(tokens(4));
  expect(sequence.keepFirst(0)).toBe(0);
  expect(context.calls).toEqual(['forget 0 from 4', 'forget 0']);
});

it('keeps nothing of a model that has a state instead of tokens', () => {
  const context = new NativeStandIn();
  context.canForgetSome = false;
  const sequence = evaluated(10, context);
  expect(sequence.keepFirst(4)).toBe(0);
  expect(context.calls).toEqual(['forget 0']);
  expect(sequence.length).toBe(0);
});

it('goes back in a model with a window as far as the window behind it is there', () => {
  const context = new NativeStandIn();
  // Of 100 tokens those from 40 on are there; the model looks at 32, the one that it reads among them.
  context.firstPosition = 40;
  expect(evaluated(100, context, 32).keepFirst(71)).toBe(71);
  expect(evaluated(100, context, 32).keepFirst(70)).toBe(0);
  context.firstPosition = 0;
  expect(evaluated(100, context, 32).keepFirst(10)).toBe(10);
});

it('is empty after it could not take over what another has saved', async () => {
  const context = new NativeStandIn();
  const sequence = evaluated(10, context);
  await expect(sequence.load('nowhere', 10)).rejects.toThrow('no such file');
  expect(sequence.length).toBe(0);
  expect(context.calls.at(-1)).toBe('forget 0');
});

describe('how much of a prompt it could keep', () => {
  const other = 777 as Token;

  it('is what both begin with, where the model looks at all tokens', () => {
    const sequence = evaluated(10, new NativeStandIn());
    for (const one of [sequence, sequence.asSaved]) {
      expect(usablePrefix(one, tokens(20))).toBe(10);
      expect(usablePrefix(one, tokens(3))).toBe(3);
      expect(usablePrefix(one, [...tokens(5), other])).toBe(5);
    }
  });

  it('is all of it or nothing, where the model has a state instead of tokens', () => {
    const context = new NativeStandIn();
    context.firstPosition = 9;
    const sequence = evaluated(10, context);
    for (const one of [sequence, sequence.asSaved]) {
      expect(usablePrefix(one, tokens(20))).toBe(10);
      expect(usablePrefix(one, tokens(10))).toBe(10);
      expect(usablePrefix(one, tokens(9))).toBe(0);
      expect(usablePrefix(one, [...tokens(9), other])).toBe(0);
    }
  });

  it('begins behind a window that is there; one token less is saved with it', () => {
    const context = new NativeStandIn();
    context.firstPosition = 40;
    const sequence = evaluated(100, context, 32);
    expect(usablePrefix(sequence, [...tokens(71), other])).toBe(71);
    expect(usablePrefix(sequence, [...tokens(70), other])).toBe(0);
    expect(usablePrefix(sequence.asSaved, tokens(120))).toBe(100);
    expect(usablePrefix(sequence.asSaved, [...tokens(99), other])).toBe(99);
    expect(usablePrefix(sequence.asSaved, [...tokens(98), other])).toBe(0);
    // As after it went back that far: the window has no token to spare.
    context.firstPosition = 69;
    expect(usablePrefix(sequence.asSaved, [...tokens(99), other])).toBe(0);
  });

  it('is what both begin with, as long as all is within the window', () => {
    const sequence = evaluated(30, new NativeStandIn(), 32);
    for (const one of [sequence, sequence.asSaved]) expect(usablePrefix(one, tokens(3))).toBe(3);
  });
});
