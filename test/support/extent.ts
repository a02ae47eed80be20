/** Set by test/full/jest.config.js, which `npm run test:all` uses. */
const EVERYTHING = (globalThis as { EVERYTHING?: boolean }).EVERYTHING === true;

/** `few` of `cases`, evenly spread from the first to the last; all of them in `npm run test:all`. */
export function sample<T>(cases: readonly T[], few: number): readonly T[] {
  if (EVERYTHING || few >= cases.length) return cases;
  if (few === 1) return cases.slice(0, 1);
  return Array.from({ length: few }, (_, i) => cases[Math.round((i * (cases.length - 1)) / (few - 1))]!);
}

/** How many of something a test uses: `few`, and `many` in `npm run test:all`. */
export function amount(few: number, many: number): number {
  return EVERYTHING ? many : few;
}
