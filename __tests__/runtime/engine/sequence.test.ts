import type { Token } from '../../../runtime/src/engine/native';
import { Sequence } from '../../../runtime/src/engine/sequence';
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

it('tells how much of a prompt it has', () => {
  const sequence = evaluated(10, new NativeStandIn());
  expect(sequence.evaluatedOf(tokens(20))).toBe(10);
  expect(sequence.evaluatedOf(tokens(3))).toBe(3);
  expect(sequence.evaluatedOf([...tokens(5), 77 as Token])).toBe(5);
});
