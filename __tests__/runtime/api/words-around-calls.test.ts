import type { GenerateEvent } from '../../../runtime/src/engine/engine';
import { screenOutput } from '../../../runtime/src/api/word-filter';
import { WordScreen } from '../../../runtime/src/policy/word-screen';
import { BLOCK, body, CHAT, policyServices, read } from '../support/policy-service';
import { ScriptedEngine } from '../support/scripted-engine';
import { eventsOf } from '../support/test-service';

const USAGE = { promptTokens: 7, cachedTokens: 0, completionTokens: 9 };

/** Texts, and calls as `[name, arguments]`. */
type Part = string | readonly [string, string];

async function* saying(parts: readonly Part[]): AsyncGenerator<GenerateEvent> {
  yield { type: 'start', promptTokens: 7, cachedTokens: 0 };
  let index = 0;
  for (const part of parts) {
    if (typeof part === 'string') yield { type: 'text', text: part, tokens: 1 };
    else {
      yield { type: 'tool-call', index, name: part[0] };
      yield { type: 'tool-arguments', index: index++, text: part[1], tokens: 1 };
    }
  }
  yield { type: 'end', finishReason: 'tool_calls', usage: USAGE };
}

describe('the text around a call is one text', () => {
  /** Pieces that follow each other are one. */
  const screened = async (parts: readonly Part[], screen: WordScreen): Promise<Part[]> => {
    const said: Part[] = [];
    for await (const event of screenOutput(saying(parts), screen, () => {})) {
      const last = said.at(-1);
      if (event.type === 'text') {
        if (typeof last === 'string') said.push((said.pop() as string) + event.text);
        else said.push(event.text);
      } else if (event.type === 'tool-call') said.push([event.name, '']);
      else if (event.type === 'tool-arguments') {
        const at = said.findLastIndex((part) => typeof part !== 'string');
        said[at] = [said[at]![0]!, said[at]![1]! + event.text];
      } else if (event.type === 'end') said.push(event.finishReason);
    }
    return said;
  };
  const compile = (action: 'mask' | 'block') =>
    WordScreen.compile([{ name: 'no', action, match: 'word', words: ['bomb', 'bomb 2 x'] }]);
  const CALL = ['look', '{"a":"bo"}'] as const;
  const NEXT = ['see', '{}'] as const;
  const OVER = 'tool_calls';

  test.each<[string, Part[], Part[]]>([
    ['a word over it', ['A bo', CALL, 'mb!'], ['A ***', CALL, '!', OVER]],
    ['a word over two', ['A b', CALL, 'om', NEXT, 'b!'], ['A ***', CALL, NEXT, '!', OVER]],
    ['what is none in the end', ['A bo', CALL, 'at, b', NEXT, 'y'], ['A bo', CALL, 'at, b', NEXT, 'y', OVER]],
    ['a word before it', ['A bomb', CALL, '.'], ['A ***', CALL, '.', OVER]],
    ['a longer word over it', ['A bomb', CALL, 'er'], ['A bomb', CALL, 'er', OVER]],
    ['nothing after it', ['A bo', CALL, NEXT], ['A bo', CALL, NEXT, OVER]],
    ['one of two after it', ['bomb ', CALL, '2 ', NEXT, 'y'], ['*** ', CALL, '2 ', NEXT, 'y', OVER]],
    ['words on both sides', ['a bomb b', CALL, 'omb bomb'], ['a *** ***', CALL, ' ***', OVER]],
  ])('masked, with each call in its place: %s', async (_what, parts, expected) => {
    expect(await screened(parts, await compile('mask'))).toEqual(expected);
  });

  const NO = 'content_filter';
  test.each<[string, Part[], Part[]]>([
    ['a word over it', ['A bo', CALL, 'mb!', NEXT], ['A ', NO]],
    ['a word after it', ['A bo', CALL, 'a bomb ', NEXT], ['A bo', CALL, 'a ', NO]],
    ['a word in what waits', ['A bo', CALL, ['see', '{"a":"bomb"}']], ['A bo', CALL, ['see', '{"a":"'], NO]],
    ['a name while one waits', ['A bo', CALL, ['bomb', '{}']], ['A bo', CALL, NO]],
    ['a word before one that waits', ['A bomb', ['bomb', '{}']], ['A ', NO]],
  ])('blocked: %s', async (_what, parts, expected) => {
    expect(await screened(parts, await compile('block'))).toEqual(expected);
  });

  test('a call waits only while the text before it ends in what may be a word', async () => {
    const screen = await compile('mask');
    const orderOf = async (text: string) => {
      const order: string[] = [];
      async function* source() {
        for await (const event of saying([text, CALL, ' and'])) {
          if (event.type === 'text' && event.text !== text) order.push('more text');
          yield event;
        }
      }
      for await (const event of screenOutput(source(), screen, () => {}))
        if (event.type === 'tool-call') order.push('call');
      return order;
    };
    expect(await orderOf('I look.')).toEqual(['call', 'more text']);
    expect(await orderOf('I bo')).toEqual(['more text', 'call']);
  });
});

describe('whole and streamed answers agree on it', () => {
  const { start } = policyServices();
  const tools = [{ type: 'function', function: { name: 'look' } }];

  test.each([
    ['block', 'Take a ', 'content_filter'],
    ['mask', 'Take a ***', 'tool_calls'],
  ])('%s', async (action, content, reason) => {
    const engine = new ScriptedEngine(() => saying(['Take a bo', ['look', '{}'], 'mb']));
    const { call } = await start({ words: [{ ...BLOCK, action }] }, engine);
    const whole = await read(await call(CHAT, body('hi', { tools })));
    expect(whole.choices[0]).toMatchObject({ message: { content }, finish_reason: reason });
    const streamed = await (await call(CHAT, body('hi', { tools, stream: true }))).text();
    const chunks = eventsOf(streamed)
      .filter((event) => event !== '[DONE]')
      .map((event) => JSON.parse(event) as { choices: { delta: { content?: string } }[] });
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(content);
    const items = (await (
      await call('/v1/responses', {
        model: 'test-model',
        input: 'hi',
        tools: [{ type: 'function', name: 'look' }],
      })
    ).json()) as { output: { type: string; content?: { text: string }[] }[] };
    expect(items.output.map((item) => item.content?.[0]?.text ?? '').join('')).toBe(content);
  });
});
