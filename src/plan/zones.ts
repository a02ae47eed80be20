/** Zones change their offset at multiples of this, on the wall clock of UTC. */
const BLOCK_MS = 15 * 60_000;
/** A formatter of a zone takes memory, and units may report any zone. */
const MAX_ZONES = 100;
const DAY_MINUTES = 1_440;
const FORM = /^[A-Za-z][\w+-]*(?:\/[\w+-]+){0,2}$/;

interface Zone {
  readonly format: Intl.DateTimeFormat;
  block: number;
  offsetMinutes: number;
}

/** `undefined`: there is no such zone. */
const zones = new Map<string, Zone | undefined>();

/** Returns whether there is an IANA time zone of this name. */
export function isZone(name: string): boolean {
  return zoneOf(name) !== undefined;
}

/** Returns the minutes since midnight in a zone, 0 to 1439, or undefined if there is no such zone. */
export function minuteOfDay(nowMs: number, name: string): number | undefined {
  const zone = zoneOf(name);
  if (!zone) return undefined;
  const block = Math.floor(nowMs / BLOCK_MS);
  if (block !== zone.block) {
    zone.offsetMinutes = offsetAt(zone.format, block * BLOCK_MS);
    zone.block = block;
  }
  const minutes = Math.floor(nowMs / 60_000) + zone.offsetMinutes;
  return ((minutes % DAY_MINUTES) + DAY_MINUTES) % DAY_MINUTES;
}

function zoneOf(name: string): Zone | undefined {
  if (zones.has(name)) return zones.get(name);
  const zone = create(name);
  if (zones.size >= MAX_ZONES) {
    const [oldest = ''] = zones.keys();
    zones.delete(oldest);
  }
  zones.set(name, zone);
  return zone;
}

function create(name: string): Zone | undefined {
  if (name.length > 64 || !FORM.test(name)) return undefined;
  try {
    const format = new Intl.DateTimeFormat('en-US', {
      timeZone: name,
      hourCycle: 'h23',
      hour: '2-digit',
      minute: '2-digit',
    });
    return { format, block: NaN, offsetMinutes: 0 };
  } catch {
    return undefined;
  }
}

/** Returns how many minutes the zone is before UTC, from 0 to a day: only the time of the day matters. */
function offsetAt(format: Intl.DateTimeFormat, timeMs: number): number {
  const text = format.format(timeMs);
  const local = Number(text.slice(0, 2)) * 60 + Number(text.slice(3, 5));
  return local - (Math.floor(timeMs / 60_000) % DAY_MINUTES);
}
