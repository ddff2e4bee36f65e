import { deployDrills } from './deploy';
import type { Drill } from './drill';
import { machineDrills } from './machine';
import { operatingDrills } from './operating';

/** All drills, in the order in which they run. */
export const DRILLS: readonly Drill[] = [...operatingDrills, ...machineDrills, ...deployDrills];
