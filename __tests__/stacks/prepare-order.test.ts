import { prepareArtifacts } from '../../stacks/prepare';
import { ProblemsError } from '../../stacks/problems';
import { resolveProps } from '../../stacks/props/resolve';

it('refuses a model that does not suit the machine before the bundle is built', async () => {
  const lines: string[] = [];
  const props = resolveProps({ contextSize: 16_384, allowedCidrs: ['203.0.113.0/24'] });
  const refusal = await prepareArtifacts(props, (line) => lines.push(line)).catch((error: unknown) => error);

  expect(refusal).toBeInstanceOf(ProblemsError);
  expect((refusal as ProblemsError).problems).toEqual([
    'contextSize should be at most 8192, the context this model was trained for, got 16384',
  ]);
  expect(lines.filter((line) => line.startsWith('model'))).not.toEqual([]);
  expect(lines.filter((line) => line.startsWith('bundle'))).toEqual([]);
});
