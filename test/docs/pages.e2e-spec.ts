import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { REQUIRED } from '../support/real-server.js';
import { Machine, missing } from './machine.js';
import { blocksOf, nameOf, pages, type Block } from './page.js';
import { promisesOf, shows } from './promises.js';
import { isShell } from './shell.js';

const isRun = ({ language, mark }: Block): boolean => isShell(language) && (mark === undefined || mark.kind === 'runs');

/** What the blocks up to `last` need: without the first step of a page the second fails. */
function needsUpTo(blocks: readonly Block[], last: Block): string[] {
  const before = blocks.slice(0, blocks.indexOf(last) + 1);
  return [...new Set(before.flatMap(({ mark }) => (mark?.kind === 'runs' ? mark.needs : [])))];
}

/** Plays a newcomer: each page on a machine of its own, every block in its order, in one shell. */
describe.each(pages().filter((page) => blocksOf(page).some(isRun)))('%s', (page) => {
  const blocks = blocksOf(page);
  let machine: Machine;
  let output = '';
  let failed: string | undefined;

  beforeAll(async () => {
    machine = await Machine.start();
  });
  afterAll(() => machine.stop());

  const runBlock = async (block: Block): Promise<void> => {
    const runs = block.mark?.kind === 'runs' ? block.mark : undefined;
    expect({ failedBefore: failed }).toEqual({ failedBefore: undefined });
    failed = nameOf(block);
    for (const need of runs?.needs ?? []) await machine.add(need);
    const result = await machine.run(block.text, runs);
    ({ output } = result);
    const endsWell = (result.status !== 0) === (runs?.fails ?? false);
    expect({ ...result, endsWell }).toEqual({ ...result, endsWell: true });
    for (const promise of promisesOf(block.text)) expect(output).toEqual(shows(promise));
    failed = undefined;
  };

  for (const block of blocks) {
    const { text, mark } = block;
    if (isRun(block)) {
      const needs = needsUpTo(blocks, block);
      const lacking = missing(needs);
      (lacking.length === 0 || REQUIRED ? it : it.skip)(
        `runs ${nameOf(block)}${lacking.length > 0 ? ` (skipped: no ${lacking.join(', ')} here)` : ''}`,
        async () => {
          expect(lacking).toEqual([]);
          await runBlock(block);
        },
        600_000,
      );
    } else if (mark?.kind === 'output')
      it(`prints ${nameOf(block)}`, () => {
        expect(output).toEqual(shows(text));
      });
    else if (mark?.kind === 'file')
      it(`has ${nameOf(block)} as the file ${mark.name}`, async () => {
        await machine.write(mark.name, text);
      });
    else if (mark?.kind === 'not-run') it.skip(`does not run ${nameOf(block)}: ${mark.reason}`, () => undefined);
  }
});
