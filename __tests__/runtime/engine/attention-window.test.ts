import { attentionWindow, canGoBack, type ModelFacts } from '../../../runtime/src/engine/attention-window';

interface Facts {
  readonly swaSize?: number;
  readonly isRecurrent?: boolean;
  readonly isHybrid?: boolean;
}

const model = (architecture: string, facts: Facts = {}): ModelFacts =>
  ({
    fileInfo: { metadata: { general: { architecture } } },
    fileInsights: { isRecurrent: false, isHybrid: false, ...facts },
  }) as unknown as ModelFacts;

it.each<[string, Facts, { window: number | undefined; goesBack: boolean }]>([
  ['llama', {}, { window: undefined, goesBack: true }],
  ['gemma3', { swaSize: 1024 }, { window: 1024, goesBack: false }],
  ['mamba', { isRecurrent: true }, { window: undefined, goesBack: false }],
  ['lfm2', { isHybrid: true }, { window: undefined, goesBack: false }],
  // llama.cpp leaves its window out of account.
  ['phi3', { swaSize: 2047 }, { window: undefined, goesBack: true }],
])('knows how far back a model of %s looks and can go', (architecture, facts, { window, goesBack }) => {
  expect(attentionWindow(model(architecture, facts))).toBe(window);
  expect(canGoBack(model(architecture, facts))).toBe(goesBack);
});
