import { parseBlocks, parseInline } from '../../../runtime/console/lib/markdown.js';

describe('blocks of an answer', () => {
  it('are text and fenced code in turn', () => {
    expect(parseBlocks('Look:\n\n```python\ndef f():\n\n    pass\n```\nDone.')).toEqual([
      { type: 'text', text: 'Look:' },
      { type: 'code', language: 'python', text: 'def f():\n\n    pass' },
      { type: 'text', text: 'Done.' },
    ]);
  });

  it('let code that is still being written run to the end', () => {
    expect(parseBlocks('```js\nlet a')).toEqual([{ type: 'code', language: 'js', text: 'let a' }]);
  });

  it('end code only at a fence as long as the one that opened it', () => {
    expect(parseBlocks('````md\n```js\nx\n```\n````')).toEqual([
      { type: 'code', language: 'md', text: '```js\nx\n```' },
    ]);
    expect(parseBlocks('~~~\n```\n~~~')).toEqual([{ type: 'code', language: '', text: '```' }]);
  });

  it('leave markup as the text that it is', () => {
    const source = '<img src=x onerror=alert(1)>\n# not a heading [link](javascript:alert(1))';
    expect(parseBlocks(source)).toEqual([{ type: 'text', text: source }]);
  });

  it('are none where there is nothing to see', () => {
    expect(parseBlocks(' \n\n')).toEqual([]);
  });
});

describe('parts of a text', () => {
  it('are code and strong between plain text', () => {
    expect(parseInline('Use `a ** b` or **two words**, not ``c ` d``.')).toEqual([
      { type: 'text', text: 'Use ' },
      { type: 'code', text: 'a ** b' },
      { type: 'text', text: ' or ' },
      { type: 'strong', text: 'two words' },
      { type: 'text', text: ', not ' },
      { type: 'code', text: 'c ` d' },
      { type: 'text', text: '.' },
    ]);
  });

  it('keep marks that never close', () => {
    expect(parseInline('2 ** 3 and `open')).toEqual([{ type: 'text', text: '2 ** 3 and `open' }]);
  });
});
