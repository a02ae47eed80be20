import type { Plan } from '../plan/plan.js';
import type { CheckedVersion } from './checked-version.js';

/** Returns a line that says what a plan gives to devices, and how to find out the rest. */
export function byPlan({ serial }: Plan, current: CheckedVersion | undefined, device: string): string {
  const what = current ? current.version : 'none of these versions';
  return `By the plan (serial ${serial}), a device without a unit id gets ${what}. To see what one unit gets, run otaflux why ${device} --unit UNIT`;
}

/** Returns what a plan says about a version, for the note in a list; undefined if it says nothing. */
export function notedByPlan(plan: Plan | undefined, version: string): string | undefined {
  if (plan?.yanked.has(version)) return 'yanked by the plan';
  return plan?.rolloutOf.has(version) ? 'has a rollout in the plan' : undefined;
}
