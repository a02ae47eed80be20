import { OtaError } from '../../errors.js';
import { versionOf } from '../../firmware/select-version.js';
import { isGood } from '../checked-version.js';
import type { PlanContext } from './plan-context.js';
import { planVersion } from './plan-context.js';

/** Returns `given` as a plan has it. Throws ConfigError if it is no version. */
export const versionIn = (given: string): string => planVersion(given, versionOf);

/**
 * Checks a version that a plan is about to name.
 *
 * @param isLater whether the version may be pushed afterwards
 * @returns sentences about what is missing until devices can get it
 */
export async function notesOnVersion(
  context: PlanContext,
  version: string,
  { isLater = false, isForced = false }: { readonly isLater?: boolean; readonly isForced?: boolean },
): Promise<string[]> {
  const found = await context.check(version);
  if (!found) {
    if (isLater || isForced)
      return [`${version} is not in ${context.repository} yet. Units are offered it after it was pushed.`];
    const newest = (await context.all())[0];
    throw new OtaError(
      'absent',
      `${context.repository} has no version ${version}${newest ? `; the newest version is ${newest.version}` : ''}. Push it first, or use --force`,
    );
  }
  if (isGood(found)) return [];
  return [`${version} cannot be offered yet: ${found.reason ?? found.result}.`];
}
