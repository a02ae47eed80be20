const UNITS = ['bytes', 'KB', 'MB', 'GB', 'TB'] as const;
/** As disks, networks and `docker push` count; binary units have names of their own (KiB). */
const STEP = 1_000;

/** A size as people write it: `512 bytes`, `293 KB`, `1.0 MB`. */
export function sizeText(bytes: number): string {
  const power = powerOf(bytes);
  return `${inUnit(bytes, power)} ${UNITS[power] ?? ''}`;
}

/** How much of a size is there, in one unit: `0.4/1.0 MB`. */
export function partText(bytes: number, ofBytes: number): string {
  const power = powerOf(ofBytes);
  return `${inUnit(bytes, power)}/${inUnit(ofBytes, power)} ${UNITS[power] ?? ''}`;
}

function powerOf(bytes: number): number {
  let power = 0;
  // 999,600 bytes are 1.0 MB, not 1000 KB.
  while (power < UNITS.length - 1 && Math.round(bytes / STEP ** power) >= STEP) power++;
  return power;
}

/** Whole up to kilobytes, with one decimal above. */
function inUnit(bytes: number, power: number): string {
  return (bytes / STEP ** power).toFixed(power > 1 ? 1 : 0);
}
