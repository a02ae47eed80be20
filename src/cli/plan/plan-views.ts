import { OtaError } from '../../errors.js';
import { PLAN_TAG } from '../../plan/plan.js';
import { isColourful, tableOf } from '../table.js';
import { channelRows } from './channel-changes.js';
import { EXIT_DONE, EXIT_FAILURE, readPlan, readPlanFile } from './change-plan.js';
import { checkedPlan } from './checked-plan.js';
import type { PlanContext } from './plan-context.js';
import { PlanDocument } from './plan-document.js';
import { colouredDiff } from './shown-diff.js';
import { textDiff } from './text-diff.js';

/** Prints the plan in the registry. Resolves to the exit code. */
export async function showPlan(context: PlanContext, json: boolean): Promise<number> {
  const stored = await context.store.read().finally(() => {
    context.clear();
  });
  if (!stored) throw noPlan(context);
  const { text, manifest } = stored;
  if (!json) process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  else {
    const plan = new PlanDocument(text);
    process.stdout.write(
      `${JSON.stringify({ repository: context.repository, tag: PLAN_TAG, digest: manifest.digest, serial: plan.serial, plan: plan.toJSON() })}\n`,
    );
  }
  return EXIT_DONE;
}

/** Prints how a file differs from the plan in the registry. Resolves to the exit code. */
export async function diffPlan(context: PlanContext, file: string): Promise<number> {
  const after = await readPlanFile(file);
  if (after === undefined) throw noFile(file);
  const stored = await context.store
    .read()
    .catch((error: unknown) => {
      if (!(error instanceof OtaError)) throw error;
      process.stderr.write(`otaflux: ${error.message}\n`);
      return 'not-asked' as const;
    })
    .finally(() => {
      context.clear();
    });
  if (stored === 'not-asked') return EXIT_NOT_ASKED;
  const diff = textDiff(stored?.text ?? '', after);
  for (const line of colouredDiff(diff, isColourful())) process.stdout.write(`${line}\n`);
  return diff.length === 0 ? EXIT_DONE : EXIT_FAILURE;
}

const EXIT_NOT_ASKED = 3;

/** Prints the channels of a plan. Resolves to the exit code. */
export async function listChannels(
  context: PlanContext,
  { file, json }: { readonly file?: string; readonly json?: boolean },
): Promise<number> {
  const { text, isNew } = await readPlan(context, file);
  if (isNew) throw file === undefined ? noPlan(context) : noFile(file);
  const rows = channelRows(await checkedPlan(text));
  if (json) {
    const channels = rows.map(([name, versions, prereleases, isDefault, rollouts]) => ({
      name,
      versions,
      prereleases: prereleases === 'yes',
      default: isDefault === 'yes',
      rollouts: rollouts === '-' ? [] : rollouts?.split(', '),
    }));
    process.stdout.write(`${JSON.stringify({ repository: context.repository, channels })}\n`);
  } else
    for (const line of tableOf([['CHANNEL', 'VERSIONS', 'PRE-RELEASES', 'DEFAULT', 'ROLLOUTS'], ...rows]))
      process.stdout.write(`${line}\n`);
  return EXIT_DONE;
}

export function noPlan({ repository }: PlanContext): OtaError {
  return new OtaError(
    'absent',
    `${repository} has no plan, so every unit is offered the newest version. Run otaflux rollout start or otaflux channel set to create one`,
  );
}

export function noFile(file: string): OtaError {
  return new OtaError('absent', `there is no file ${file}. Check the path`);
}
