type Test = (character: string) => boolean;

/** One token of a glob: an escaped character, a set such as `[a-c]` or `[!x]`, or any other character. */
const TOKEN = /\\[^]|\[[!^]?\]?[^\]]*\]|[^]/gu;

/**
 * Returns a matcher for a glob with `*`, `?` and sets such as `[bc]`, without case. `*` also stands for slashes. Its time
 * grows with the lengths of glob and text only, because globs come from whoever may push, and texts from clients.
 */
export function globMatcher(glob: string): (text: string) => boolean {
  const runs: Test[][] = [[]];
  for (const [token] of glob.toLowerCase().matchAll(TOKEN)) {
    if (token === '*') runs.push([]);
    else runs.at(-1)?.push(testOf(token));
  }
  const [first = [], ...others] = runs;
  const last = others.pop();
  return (text) => {
    const characters = Array.from(text.toLowerCase());
    if (!fits(first, characters, 0)) return false;
    if (!last) return characters.length === first.length;
    let at = first.length;
    const end = characters.length - last.length;
    for (const run of others) {
      while (at <= end && !fits(run, characters, at)) at++;
      at += run.length;
    }
    return at <= end && fits(last, characters, end);
  };
}

function fits(run: readonly Test[], characters: readonly string[], at: number): boolean {
  return run.every((test, i) => {
    const character = characters[at + i];
    return character !== undefined && test(character);
  });
}

function testOf(token: string): Test {
  if (token === '?') return () => true;
  if (token.length > 2 && token.startsWith('[')) return setOf(token.slice(1, -1));
  const literal = token.startsWith('\\') && token.length > 1 ? token.slice(1) : token;
  return (character) => character === literal;
}

function setOf(content: string): Test {
  const isNegated = /^[!^]/.test(content);
  const ranges = [...content.slice(isNegated ? 1 : 0).matchAll(/([^])-([^])|([^])/gu)].map(
    ([, from, to, one = '']) => [from ?? one, to ?? one] as const,
  );
  return (character) => ranges.some(([from, to]) => character >= from && character <= to) !== isNegated;
}
