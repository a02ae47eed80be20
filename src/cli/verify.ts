import { styleText } from 'node:util';
import type { Settings } from '../config/index.js';
import { OtaError } from '../errors.js';
import { wantsSignatures } from '../signature/create-verifier.js';
import { byPlan } from './by-plan.js';
import { isGood, shortDigest, type CheckedVersion } from './checked-version.js';
import { examine, type Survey } from './version-checker.js';
import { isColourful, tableOf } from './table.js';

/** More rows are not printed: nobody would read them. */
const MAX_ROWS = 1_000;

/** Prints what the server would say of every version of `device`, and resolves to the exit code. */
export function verify(settings: Settings, device: string, json: boolean): Promise<number> {
  return examine(settings, device, async (checker, repository, clear) => {
    const candidates = checker.eligible(await checker.all());
    if (candidates.length === 0)
      throw new OtaError(
        'absent',
        `${repository} has no version that the server may offer. Check --prereleases and --min-version`,
      );
    const survey = await checker.survey(candidates, candidates.slice(0, MAX_ROWS));
    clear();
    print(survey, repository, json, device);
    if (!json && !wantsSignatures(settings))
      process.stderr.write(
        'otaflux: no signature was checked, because no key and no identity is configured. Set --cosign-pub-key-path\n',
      );
    return survey;
  });
}

function print({ rows, current: served, plan }: Survey, repository: string, json: boolean, device: string): void {
  if (json) {
    process.stdout.write(
      `${JSON.stringify({ repository, served: served?.version ?? null, plan: plan?.serial ?? null, versions: rows })}\n`,
    );
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
  if (plan) process.stdout.write(`${byPlan(plan, served, device)}\n`);
}

/** Green is served or could be, red is not; only on a terminal. */
function paint(text: string, row: CheckedVersion | undefined): string {
  if (!isColourful()) return text;
  return row ? styleText(isGood(row) ? 'green' : 'red', text) : styleText('bold', text);
}
