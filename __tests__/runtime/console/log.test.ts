import { isShown, levels, parseLogLine, tailChange } from '../../../runtime/console/lib/log.js';

describe('a line of the log', () => {
  it('is taken apart into time, level and text', () => {
    expect(parseLogLine('[2026-03-01 12:00:09] [SEC] token refused: [expired]')).toEqual({
      level: 'SEC',
      time: '2026-03-01 12:00:09',
      text: 'token refused: [expired]',
      continuation: false,
    });
  });

  it('belongs to the line before it when it does not start like one', () => {
    expect(parseLogLine('    at main (bot.js:1:1)', 'ERR')).toMatchObject({
      level: 'ERR',
      text: '    at main (bot.js:1:1)',
      continuation: true,
    });
    expect(parseLogLine('[2026-03-01 12:00:09] [DBG] unheard-of level')).toMatchObject({
      continuation: true,
    });
  });

  it('is shown when its level is chosen and it holds the text, in whatever case', () => {
    const line = parseLogLine('[2026-03-01 12:00:09] [WRN] Queue is full');
    expect(isShown(line, { levels: new Set(levels), text: ' QUEUE ' })).toBe(true);
    expect(isShown(line, { levels: new Set(['ERR']), text: '' })).toBe(false);
    expect(isShown(line, { levels: new Set(levels), text: 'empty' })).toBe(false);
  });
});

describe('two looks at the end of the log', () => {
  it('differ by the lines that left at the start and came at the end', () => {
    expect(tailChange(['a', 'b', 'c'], ['b', 'c', 'd', 'e'])).toEqual({ dropped: 1, added: ['d', 'e'] });
    expect(tailChange(['a', 'b'], ['a', 'b'])).toEqual({ dropped: 0, added: [] });
    expect(tailChange([], ['a'])).toEqual({ dropped: 0, added: ['a'] });
  });

  it('have nothing in common after a restart', () => {
    expect(tailChange(['a', 'b'], ['x'])).toEqual({ dropped: 2, added: ['x'] });
    expect(tailChange(['a', 'b'], [])).toEqual({ dropped: 2, added: [] });
  });

  it('are not confused by lines that repeat', () => {
    expect(tailChange(['a', 'a', 'b'], ['a', 'b', 'a'])).toEqual({ dropped: 1, added: ['a'] });
  });
});
