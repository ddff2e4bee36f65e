import { joinedMatrices } from '../../../../runtime/src/engine/repack/matrices';

const tensor = (name: string, columns = 64, rows = 32) => ({ name, dimensions: [columns, rows] });
const projections = (columns = 64) => [
  tensor('blk.7.attn_k.weight', columns, 16),
  tensor('blk.7.attn_q.weight', 64, 48),
  tensor('blk.7.ffn_up.weight', 64, 96),
  tensor('blk.7.attn_v.weight', 64, 8),
];
const summaries = (chosen: ReturnType<typeof projections>, others: readonly string[] = []) =>
  joinedMatrices(chosen, { tensorInfo: [...chosen, ...others.map((name) => tensor(name))] }).map(
    ({ name, columns, rows, parts }) => [name, columns, rows, parts.map((part) => part.name.slice(6))],
  );

it('joins queries, keys and values, in this order, whatever that of the file', () => {
  const [qkv, up, ...others] = summaries(projections());
  expect(qkv).toEqual(['blk.7.attn_qkv.weight', 64, 72, ['attn_q.weight', 'attn_k.weight', 'attn_v.weight']]);
  expect(up).toEqual(['blk.7.ffn_up.weight', 64, 96, ['ffn_up.weight']]);
  expect(others).toEqual([]);
});

it.each([
  ['one of them is not written anew', projections().slice(1), ['blk.7.attn_k.weight']],
  ['one has other columns', projections(32), []],
  ['one has a bias', projections(), ['blk.7.attn_v.bias']],
])('leaves them apart where %s', (_, chosen, others) => {
  expect(summaries(chosen, others).map(([name]) => name)).toEqual(chosen.map(({ name }) => name));
});

it('takes the bias of another layer for none of theirs', () => {
  expect(summaries(projections(), ['blk.17.attn_v.bias'])).toHaveLength(2);
});
