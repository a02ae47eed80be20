import { ConfigError, OtaError } from '../../errors.js';
import { PLAN_TAG } from '../../plan/plan.js';
import { confirm } from '../prompt.js';
import {
  EXIT_DONE,
  EXIT_FAILURE,
  printResult,
  publish,
  readPlanFile,
  type Before,
  type ChangeOptions,
} from './change-plan.js';
import { checkedPlan } from './checked-plan.js';
import type { PlanContext } from './plan-context.js';
import { PlanDocument } from './plan-document.js';
import { noFile, noPlan } from './plan-views.js';

/** The flags of `plan push`. */
export interface PushPlanOptions extends ChangeOptions {
  readonly file: string;
  readonly serial?: string;
  readonly force?: boolean;
}

/** Pushes the plan in a file. Resolves to the exit code. */
export async function pushPlan(context: PlanContext, options: PushPlanOptions): Promise<number> {
  const { file, serial, force = false, ...rest } = options;
  const written = await readPlanFile(file);
  if (written === undefined) throw noFile(file);
  const signer = await context.signer(options);
  if (!options.dryRun) await context.prepare();
  const before = await current(context, force);
  const text = serial === undefined ? written : withSerial(written, serial, before);
  const plan = await checkedPlan(text, context.product);
  if (!before.isNew && sameButSerial(text, before.text) && (serial !== undefined || text === before.text)) {
    const { serial: known } = new PlanDocument(before.text);
    if (options.json) printResult(context, { serial: known, digest: before.digest ?? null, changed: false, notes: [] });
    else
      process.stdout.write(
        `Already there: ${context.repository}:${PLAN_TAG} (serial ${known})\nDigest: ${before.digest ?? ''}\n`,
      );
    return EXIT_DONE;
  }
  demandHigher(plan.serial, before);
  return publish(context, rest, { before, after: text, serial: plan.serial, notes: [], signer });
}

/** With `--force`, something that is no plan counts as nothing that has to be compared. */
async function current(context: PlanContext, isForced: boolean): Promise<Before> {
  try {
    const stored = await context.store.read();
    if (!stored) return { text: '', digest: undefined, isNew: true };
    return { text: stored.text, digest: stored.manifest.digest, isNew: false };
  } catch (error) {
    if (!isForced || !(error instanceof OtaError) || error.code !== 'protocol') throw error;
    return { text: '', digest: (await context.store.current())?.digest, isNew: true };
  } finally {
    context.clear();
  }
}

function withSerial(text: string, serial: string, before: Before): string {
  const next = serial === 'next' ? (before.isNew ? 1 : new PlanDocument(before.text).serial + 1) : Number(serial);
  if (!Number.isSafeInteger(next) || next < 1)
    throw new ConfigError(`--serial: got ${JSON.stringify(serial)}, expected a whole number from 1, or next`);
  const plan = new PlanDocument(text);
  plan.setSerial(next);
  return plan.toString();
}

function sameButSerial(a: string, b: string): boolean {
  const content = (text: string): string => {
    const plan = new PlanDocument(text);
    plan.setSerial(0);
    return plan.toString();
  };
  return content(a) === content(b);
}

function demandHigher(serial: number, before: Before): void {
  if (before.isNew) return;
  const known = new PlanDocument(before.text).serial;
  if (serial > known) return;
  throw new OtaError(
    'protocol',
    `the plan has serial ${serial}, expected more than ${known}, which is in the registry. Servers refuse a lower serial. Raise it, or use --serial next`,
  );
}

/** Deletes the plan in the registry. Resolves to the exit code. */
export async function deletePlan(context: PlanContext, isConfirmed: boolean): Promise<number> {
  if (!isConfirmed && !process.stdin.isTTY)
    throw new ConfigError(
      '--yes is missing, and without a terminal plan delete cannot ask. Add --yes to delete without a question',
    );
  const stored = await context.store.current().finally(() => {
    context.clear();
  });
  if (!stored) throw noPlan(context);
  const what = `${context.repository}:${PLAN_TAG}`;
  if (!isConfirmed && !(await confirm(`Delete ${what}? Every unit is offered the newest version then.`))) {
    process.stdout.write('Nothing was deleted.\n');
    return EXIT_FAILURE;
  }
  await context.store.delete();
  process.stdout.write(`Deleted ${what}. Every unit is offered the newest version now.\n`);
  return EXIT_DONE;
}
