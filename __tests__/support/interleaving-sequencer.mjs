import SequencerModule from '@jest/test-sequencer';

/** Jest's ES module build of it is CommonJS inside. */
const Sequencer = SequencerModule.default;

/**
 * Longest first, as Jest does it, but files that need an engine and files that do not take turns: the former wait
 * for each other (one-engine-at-a-time.ts), and a worker that waits does nothing else.
 */
export default class InterleavingSequencer extends Sequencer {
  /**
   * @override
   * @param {import('@jest/test-result').Test[]} tests
   */
  async sort(tests) {
    const sorted = await super.sort(tests);
    const withEngine = sorted.filter((test) => test.context.config.displayName?.name === 'model');
    const without = sorted.filter((test) => !withEngine.includes(test));
    const longer = Math.max(withEngine.length, without.length);
    return Array.from({ length: longer }, (_, index) => [withEngine[index], without[index]])
      .flat()
      .filter((test) => test !== undefined);
  }
}
