/** Whole files that use an engine take turns. */
import { takeEngineTurn } from './engine-turn';

let giveBack = (): void => undefined;

beforeAll(async () => {
  giveBack = await takeEngineTurn();
}, 30 * 60_000);

afterAll(() => giveBack());
