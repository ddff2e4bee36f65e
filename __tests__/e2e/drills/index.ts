import { deployDrills } from './deploy';
import type { Drill } from './drill';
import { machineDrills } from './machine';
import { operatingDrills } from './operating';
import { replacementDrill } from './replacement';

/** All drills, in the order in which they run. */
export const DRILLS: readonly Drill[] = [
  replacementDrill,
  ...operatingDrills,
  ...machineDrills,
  ...deployDrills,
];
