import { describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { problemsOf } from './checks.js';
import { blocksOf, nameOf, pages, ROOT } from './page.js';

/** Every block, whether it runs or not: its language, the options that it names, and where it says that it runs. */
describe('the documentation', () => {
  const blocks = pages().flatMap((page) => blocksOf(page));

  it.each(blocks.map((block) => [nameOf(block), block] as const))(
    '%s is well-formed',
    async (_name, block) => {
      expect(await problemsOf(block)).toEqual([]);
    },
    120_000,
  );

  it.each(blocks.flatMap(({ page, mark }) => (mark?.kind === 'elsewhere' ? [[page, mark.file] as const] : [])))(
    '%s has blocks that run in %s',
    (page, file) => {
      expect(existsSync(join(ROOT, file))).toBe(true);
      expect(readFileSync(join(ROOT, file), 'utf8')).toContain(page);
    },
  );
});
