import { mostSimilar } from '../../config/index.js';

/** Returns `. Did you mean beta?` if one of `names` is similar to `written`, otherwise nothing. */
export function similarTo(written: string, names: readonly string[]): string {
  const similar = mostSimilar(written, names);
  return similar === undefined ? '' : ` (did you mean ${similar}?)`;
}
