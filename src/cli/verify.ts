import { styleText } from 'node:util';
import type { Settings } from '../config/index.js';
import { OtaError, reasonOf } from '../errors.js';
import { createRegistry } from '../registry/adapters.js';
import { wantsSignatures } from '../signature/create-verifier.js';
import {
  EXIT_NONE,
  EXIT_SERVED,
  exitCodeOf,
  isGood,
  Judge,
  repositoryOf,
  shortDigest,
  type Judgement,
} from './judge.js';
import { isColourful, tableOf } from './table.js';

/** A table that nobody reads to its end. */
const MAX_ROWS = 1_000;

/** Prints what the server would say of every version of `device`, and resolves to the exit code. */
export async function verify(settings: Settings, device: string, json: boolean): Promise<number> {
  const repository = repositoryOf(settings, device);
  const judge = await Judge.create(await createRegistry(settings), repository, settings);
  try {
    const candidates = judge.eligible(await judge.all());
    if (candidates.length === 0)
      throw new OtaError(
        'absent',
        `${repository} has no version that the server may offer. Check --prereleases and --min-version`,
      );
    const rows = await judge.judgeAll(candidates.slice(0, MAX_ROWS));
    const served = await judge.current(candidates);
    print(rows, served, repository, json);
    if (!json && !wantsSignatures(settings))
      process.stderr.write(
        'otaflux: no signature was checked, because no key and no identity is configured. Set --cosign-pub-key-path\n',
      );
    return served ? EXIT_SERVED : EXIT_NONE;
  } catch (error) {
    process.stderr.write(`otaflux: ${reasonOf(error)}\n`);
    return exitCodeOf(error);
  }
}

function print(rows: readonly Judgement[], served: Judgement | undefined, repository: string, json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify({ repository, served: served?.version ?? null, versions: rows })}\n`);
    return;
  }
  const cells = rows.map((row) => [
    row === served ? '→' : ' ',
    row.version,
    shortDigest(row),
    row.result,
    row.form ?? '-',
    row.signer ?? row.reason ?? '-',
  ]);
  const table = tableOf([[' ', 'VERSION', 'DIGEST', 'RESULT', 'FORM', 'SIGNER OR REASON'], ...cells]);
  for (const [index, text] of table.entries())
    process.stdout.write(`${paint(text, index === 0 ? undefined : rows[index - 1])}\n`);
}

/** Green is served or could be, red is not; only on a terminal. */
function paint(text: string, row: Judgement | undefined): string {
  if (!isColourful()) return text;
  return row ? styleText(isGood(row) ? 'green' : 'red', text) : styleText('bold', text);
}
