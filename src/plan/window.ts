import type { Window } from './plan.js';
import { minuteOfDay } from './zones.js';

/** The attribute in which a unit reports its time zone. */
export const ZONE_ATTRIBUTE = 'timezone';

/** Returns the zone that counts for a unit: its own, if it reports a valid one. */
export function zoneFor(window: Window, nowMs: number, unitZone: string | undefined): string {
  return unitZone !== undefined && minuteOfDay(nowMs, unitZone) !== undefined ? unitZone : window.zone;
}

/** Returns whether new offers may be made now, in the zone of the unit or, without a valid one, in that of the window. */
export function isOpen(window: Window, nowMs: number, unitZone?: string): boolean {
  const own = unitZone === undefined ? undefined : minuteOfDay(nowMs, unitZone);
  const minute = own ?? minuteOfDay(nowMs, window.zone) ?? 0;
  const { fromMinute, toMinute } = window;
  return fromMinute < toMinute ? minute >= fromMinute && minute < toMinute : minute >= fromMinute || minute < toMinute;
}

/** Minutes after midnight as people write them: `01:30`. */
export function clockText(minute: number): string {
  return `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
}
