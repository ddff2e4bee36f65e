import { deployDrills } from './deploy';
import type { Drill } from './drill';
import { faultDrill } from './faults';
import { operatingDrills } from './operating';
import { outageDrills } from './outages';
import { powerDrill } from './power';
import { replacementDrill } from './replacement';
import { topologyDrill } from './topology';

/** All drills. */
export const DRILLS: readonly Drill[] = [
  replacementDrill,
  ...operatingDrills,
  powerDrill,
  faultDrill,
  ...outageDrills,
  topologyDrill,
  ...deployDrills,
];
