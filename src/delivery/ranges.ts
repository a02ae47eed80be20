/** A range of bytes, both ends inclusive. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** `whole`: the header has to be ignored. Otherwise at least one range. Ranges neither overlap nor touch. */
export type Ranges = readonly ByteRange[] | 'whole' | 'unsatisfiable';

/** A request for more ranges gets all bytes (decision 53). */
const MAX_RANGES = 32;
/** The header of RFC 9110, section 14.2. Units are case-insensitive. */
const HEADER = /^bytes=([\d\-, \t]*)$/i;
/** One range of RFC 9110, section 14.1.2: `a-b`, `a-`, `-n`. */
const SPEC = /^(\d*)-(\d*)$/;

/**
 * Returns the ranges that a `Range` header requests of `sizeBytes` bytes, in the order of the header. Returns `whole` if
 * the header has to be ignored (RFC 9110, section 14.2): another unit, a syntax error, or too many ranges. Limits an end
 * after the last byte to the last byte. Leaves out ranges that begin after it.
 */
export function parseRanges(header: string | undefined, sizeBytes: number): Ranges {
  const match = header === undefined ? null : HEADER.exec(header);
  if (!match) return 'whole';
  const specs = (match[1] ?? '').split(',').flatMap((item) => item.trim() || []);
  if (specs.length === 0 || specs.length > MAX_RANGES) return 'whole';
  const ranges: ByteRange[] = [];
  for (const spec of specs) {
    const range = parseSpec(spec, sizeBytes);
    if (range === 'invalid') return 'whole';
    if (range !== 'unsatisfiable') ranges.push(range);
  }
  if (ranges.length === 0) return 'unsatisfiable';
  return ranges.length === 1 ? ranges : merged(ranges);
}

function parseSpec(spec: string, sizeBytes: number): ByteRange | 'invalid' | 'unsatisfiable' {
  const match = SPEC.exec(spec);
  if (!match) return 'invalid';
  const [, first = '', last = ''] = match;
  if (first === '') {
    if (last === '') return 'invalid';
    const length = Math.min(Number(last), sizeBytes);
    return length === 0 ? 'unsatisfiable' : { start: sizeBytes - length, end: sizeBytes - 1 };
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) return 'invalid';
  if (start >= sizeBytes) return 'unsatisfiable';
  return { start, end: last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1) };
}

/**
 * Merges ranges that overlap or touch, so that no byte is sent twice. Each merged range has the place of the first one
 * in it (RFC 9110, section 15.3.7.2).
 */
function merged(ranges: readonly ByteRange[]): ByteRange[] {
  const sorted = ranges.map((range, place) => ({ ...range, place })).sort((a, b) => a.start - b.start);
  const result: typeof sorted = [];
  for (const range of sorted) {
    const before = result.at(-1);
    if (!before || range.start > before.end + 1) result.push(range);
    else {
      before.end = Math.max(before.end, range.end);
      before.place = Math.min(before.place, range.place);
    }
  }
  return result.sort((a, b) => a.place - b.place).map(({ start, end }) => ({ start, end }));
}
