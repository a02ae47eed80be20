import { describe, it } from '@jest/globals';
import { fuzzPlans, offersWhatThePlanSays, stagesNeverShrink } from '../../test/support/plans/properties.js';

describe('random plans, catalogues, units and clocks', () => {
  it('offer what the plan says, never what it forbids, and the same from every replica', () => {
    offersWhatThePlanSays(300);
  });

  it('have stages that never shrink', () => {
    stagesNeverShrink(50);
  });

  it('are refused with PlanError if they are damaged, and nothing else', () => {
    fuzzPlans(200);
  });
});
