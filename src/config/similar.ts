/** How many insertions, deletions, replacements and swaps of neighbours make `b` of `a` (optimal string alignment). */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_value, index) => index);
  for (let i = 0; i < a.length; i++) {
    const row = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const replaced = (previous[j] ?? 0) + (a[i] === b[j] ? 0 : 1);
      const isSwap = i > 0 && j > 0 && a[i] === b[j - 1] && a[i - 1] === b[j];
      const swapped = isSwap ? (before[j - 1] ?? 0) + 1 : Infinity;
      row.push(Math.min(replaced, swapped, (previous[j + 1] ?? 0) + 1, (row[j] ?? 0) + 1));
    }
    [before, previous] = [previous, row];
  }
  return previous[b.length] ?? 0;
}

/** A shorter beginning is that of many words. */
const MIN_BEGINNING = 6;
/** More letters than a person mistakes in a name. */
const MAX_DIFFERENCES = 3;

/**
 * The one of `names` that was most likely meant by `written`: word for word it differs in a few letters, or one is the
 * beginning of the other. Case, dashes and underscores do not count. Undefined when none is near.
 */
export function mostSimilar(written: string, names: readonly string[]): string | undefined {
  const near = names
    .map((name) => ({ name, differences: differencesOf(written, name) }))
    .filter(({ differences }) => differences <= MAX_DIFFERENCES)
    .sort((a, b) => a.differences - b.differences);
  return near[0]?.name ?? names.find((name) => isBeginning(fold(written), fold(name), MIN_BEGINNING));
}

/** In how many letters two names differ; Infinity when a word of one is another word in the other. */
function differencesOf(a: string, b: string): number {
  const [words, others] = [wordsOf(a), wordsOf(b)];
  // Words may be joined or parted by mistake: COSIGN_PUBKEY_PATH.
  if (words.length !== others.length) return similar(fold(a), fold(b));
  let sum = 0;
  // Every start compares its whole environment with all options: most pairs end with their first words.
  for (let index = 0; index < words.length && sum <= MAX_DIFFERENCES; index++)
    sum += similar(words[index] ?? '', others[index] ?? '');
  return sum;
}

function similar(a: string, b: string): number {
  if (isBeginning(a, b, 3)) return 1;
  const most = Math.max(1, Math.floor(Math.min(a.length, b.length) / 3));
  if (Math.abs(a.length - b.length) > most) return Infinity;
  const differences = distance(a, b);
  return differences <= most ? differences : Infinity;
}

/** Whether one is the beginning of the other, and has `min` letters. */
function isBeginning(a: string, b: string, min: number): boolean {
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  return short !== long && short.length >= min && long.startsWith(short);
}

const known = new Map<string, readonly string[]>();

/** In lower case, and in the singular. */
function wordsOf(name: string): readonly string[] {
  const words = known.get(name) ?? splitWords(name);
  known.set(name, words);
  return words;
}

function splitWords(name: string): string[] {
  return name
    .replaceAll(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[-_]/)
    .map((word) => word.replace(/ies$/, 'y').replace(/s$/, ''));
}

function fold(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, '');
}
