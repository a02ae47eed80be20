import { createHash } from 'node:crypto';
import type { UnitIdentity } from '../../identity.js';

/** The largest 32-bit integer: clients keep ids in one. */
const MAX_ID = 2_147_483_647;
/** Zephyr skips the first digit when it reads an id from a link, and refuses what is left if it is 0. */
const UNREADABLE = /^\d0*$/;
const DECIMAL = /^[1-9]\d{1,9}$/;

/**
 * Returns the id of the action that installs a release on a unit. It is the same for the same unit and release on every
 * server and after every restart, because SWUpdate and Zephyr report after a reboot, for the id that they are offered then.
 *
 * @param retries how often an operator has asked the unit to try again: each attempt is another action
 */
export function actionIdOf({ product, unit }: UnitIdentity, manifestDigest: string, retries = 0): number {
  for (let turn = 0; ; turn++) {
    const text = [product, unit, manifestDigest, retries, turn].join('\n');
    const id = createHash('sha256').update(text).digest().readUInt32BE(0) & MAX_ID;
    if (!UNREADABLE.test(String(id))) return id;
  }
}

/** Returns the id in a path, or undefined if it is none that an action can have. */
export function parseActionId(text: string | undefined): number | undefined {
  if (text === undefined || !DECIMAL.test(text)) return undefined;
  const id = Number(text);
  return id <= MAX_ID ? id : undefined;
}
