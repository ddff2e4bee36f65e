import type { GgufTensorInfo } from 'node-llama-cpp';

type Tensor = Pick<GgufTensorInfo, 'name' | 'dimensions'>;

/** A matrix that is written anew: one of the file, or several below each other. */
export interface Matrix<Part extends Tensor = GgufTensorInfo> {
  readonly name: string;
  readonly columns: number;
  readonly rows: number;
  readonly parts: readonly Part[];
}

const PROJECTIONS = ['q', 'k', 'v'] as const;

/**
 * The matrices for queries, keys and values are multiplied with the same vectors, and llama.cpp takes them as one where
 * the file has them as one: a multiplication and an adapter instead of three, after each of whose operations its
 * threads meet. Not where they have biases, which would have to be joined too.
 * @param chosen the matrices to write anew
 */
export function joinedMatrices<Part extends Tensor>(
  chosen: readonly Part[],
  file: { readonly tensorInfo?: readonly Tensor[] },
): readonly Matrix<Part>[] {
  const names = new Set(file.tensorInfo?.map(({ name }) => name));
  const byName = new Map(chosen.map((tensor) => [tensor.name, tensor]));
  return chosen.flatMap((tensor) => {
    const [, layer, projection] = /^(blk\.\d+\.attn_)([qkv])\.weight$/.exec(tensor.name) ?? [];
    const [columns] = shapeOf(tensor);
    const parts = PROJECTIONS.flatMap((each) => byName.get(`${layer}${each}.weight`) ?? []);
    const areOne =
      parts.length === PROJECTIONS.length &&
      parts.every((part) => shapeOf(part)[0] === columns) &&
      !PROJECTIONS.some((each) => names.has(`${layer}${each}.bias`));
    if (!areOne) return [matrix(tensor.name, [tensor])];
    return projection === 'q' ? [matrix(`${layer}qkv.weight`, parts)] : [];
  });
}

function matrix<Part extends Tensor>(name: string, parts: readonly Part[]): Matrix<Part> {
  const shapes = parts.map(shapeOf);
  const rows = shapes.reduce((sum, [, count]) => sum + count, 0);
  return { name, columns: shapes[0]?.[0] ?? 0, rows, parts };
}

export function shapeOf({ dimensions }: Tensor): readonly [columns: number, rows: number] {
  return [Number(dimensions[0]), Number(dimensions[1])];
}
