// @ts-check
import { SetupError } from '../say.mjs';

/**
 * Why there is no compiler: this machine lacks something, which is seen at no cost; the network failed, and another
 * attempt might do; or a download, which takes its time, did not end well.
 *
 * @typedef {'machine' | 'network' | 'download'} Why
 */

/** The compiler cannot be had on this machine, now. Who can do without the kernels goes on. */
export class NoCompiler extends SetupError {
  /**
   * @param {Why} why
   * @param {string} cause
   * @param {string} remedy what to do before another attempt
   */
  constructor(why, cause, remedy) {
    super(cause, `${remedy}, then run this again`);
    this.name = 'NoCompiler';
    this.why = why;
    this.cause = cause;
    this.remedy = remedy;
  }
}
