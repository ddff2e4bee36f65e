import { spawnSync } from 'node:child_process';

import { shellWord } from '../../../runtime/src/operations/shell-word';

it('is read by a shell as the text that it is made of', () => {
  const texts = ['a.b-c_1/x:y', '', 'two words', "it's", '$HOME `id` "x"', '*', '~', 'a;b', '模型', '-x'];
  const words = texts.map(shellWord).join(' ');
  const { stdout } = spawnSync('sh', ['-c', `printf '%s\\n' x ${words}`], { encoding: 'utf8' });
  expect(stdout.split('\n').slice(1, -1)).toEqual(texts);
});

it('leaves as it is what needs no quotes', () => {
  expect(shellWord('SmolLM2-135M-Instruct.Q4_1')).toBe('SmolLM2-135M-Instruct.Q4_1');
});
