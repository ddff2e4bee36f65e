import type { LlamaModel } from 'node-llama-cpp';

/** Of a LlamaModel, what its file says. */
export type ModelFacts = Pick<LlamaModel, 'fileInfo' | 'fileInsights'>;

/** Files of this architecture name a window, and llama.cpp has it look at all tokens. */
const WITHOUT_ITS_WINDOW = 'phi3';

/** How many tokens the model looks at, the one that it reads among them; undefined where it looks at all. */
export function attentionWindow({ fileInfo, fileInsights }: ModelFacts): number | undefined {
  const { architecture } = fileInfo.metadata.general;
  return architecture === WITHOUT_ITS_WINDOW ? undefined : fileInsights.swaSize;
}

/** Sequences can go back to any of their tokens: all are there, and there is no state of the last one alone. */
export function canGoBack(model: ModelFacts): boolean {
  const { isRecurrent, isHybrid } = model.fileInsights;
  return attentionWindow(model) === undefined && !isRecurrent && !isHybrid;
}
