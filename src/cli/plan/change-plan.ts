import { readFile, writeFile } from 'node:fs/promises';
import { ConfigError, OtaError } from '../../errors.js';
import { fileProblem, writeProblem } from '../../file-problem.js';
import { confirm, isInteractive } from '../prompt.js';
import { isColourful } from '../table.js';
import { placeOf, type SignOptions } from '../sign/sign-options.js';
import type { Signer } from '../sign/manifest-signer.js';
import type { PlanContext } from './plan-context.js';
import { firstPlan, PlanDocument } from './plan-document.js';
import { colouredDiff } from './shown-diff.js';
import { textDiff } from './text-diff.js';
import { checkedPlan } from './checked-plan.js';
import { PLAN_TAG } from '../../plan/plan.js';

export const EXIT_DONE = 0;
export const EXIT_FAILURE = 1;

/** The flags of every command that changes a plan. */
export interface ChangeOptions extends SignOptions {
  /** Change this file, and not the registry. */
  readonly file?: string;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** A plan before it is changed. */
export interface Before {
  readonly text: string;
  /** The digest of its manifest. Undefined for a file, and if there is no plan yet. */
  readonly digest: string | undefined;
  readonly isNew: boolean;
}

/** Changes a document. Returns what devices will do, as sentences. */
export type Change = (plan: PlanDocument) => Promise<readonly string[]> | readonly string[];

/** Reads the plan, changes it, checks it, and pushes it with the next serial. Resolves to the exit code. */
export async function changePlan(context: PlanContext, options: ChangeOptions, change: Change): Promise<number> {
  const signer = options.file === undefined ? await context.signer(options) : undefined;
  if (options.file === undefined && !options.dryRun) await context.prepare();
  const before = await readPlan(context, options.file);
  if (!before.isNew)
    await demandSound(before.text, context.product, options.file ?? `${context.repository}:${PLAN_TAG}`);
  const plan = new PlanDocument(before.text);
  const unchanged = plan.toString();
  const notes = await change(plan);
  context.clear();
  if (plan.toString() === unchanged && !before.isNew) return nothingChanged(context, options, plan.serial);
  plan.setSerial(plan.serial + 1);
  const after = plan.toString();
  await checkedPlan(after, context.product);
  return publish(context, options, { before, after, serial: plan.serial, notes, signer });
}

/** A change that was checked. */
export interface Publication {
  readonly before: Before;
  readonly after: string;
  readonly serial: number;
  readonly notes: readonly string[];
  readonly signer: Signer | undefined;
}

/** Shows a change, asks on a terminal, and pushes it, or writes the file. Resolves to the exit code. */
export async function publish(context: PlanContext, options: ChangeOptions, change: Publication): Promise<number> {
  const { before, after, serial, notes } = change;
  const diff = colouredDiff(textDiff(before.isNew ? '' : before.text, after), isColourful());
  if (!options.json) for (const line of [...diff, ...notes]) process.stdout.write(`${line}\n`);
  if (options.dryRun) {
    if (options.json) printResult(context, { serial, digest: null, changed: false, notes });
    return EXIT_DONE;
  }
  const place = options.file ?? `${placeOf(context.settings)}${context.repository}:${PLAN_TAG}`;
  const mayPush = [options.yes, options.json, !isInteractive()].includes(true);
  if (!mayPush && !(await confirm(`${options.file === undefined ? 'Push this to' : 'Write'} ${place}?`))) {
    process.stdout.write('The plan was not changed.\n');
    return EXIT_FAILURE;
  }
  if (options.file !== undefined) {
    await writePlanFile(options.file, after);
    if (options.json) printResult(context, { serial, digest: null, changed: true, notes });
    else process.stdout.write(`Wrote ${options.file} (serial ${serial})\n`);
    return EXIT_DONE;
  }
  const digest = await context.store
    .push(after, before.digest as Parameters<typeof context.store.push>[1], change.signer)
    .finally(() => {
      context.clear();
    });
  if (options.json) printResult(context, { serial, digest, changed: true, notes });
  else process.stdout.write(`Pushed ${place} (serial ${serial}${signedBy(change.signer)})\nDigest: ${digest}\n`);
  return EXIT_DONE;
}

/** Reads the plan of a file, or that in the registry, or the first one if there is none. */
export async function readPlan(context: PlanContext, file: string | undefined): Promise<Before> {
  if (file !== undefined) {
    const text = await readPlanFile(file);
    return text === undefined
      ? { text: firstPlan(context.product), digest: undefined, isNew: true }
      : { text, digest: undefined, isNew: false };
  }
  const stored = await context.store.read().finally(() => {
    context.clear();
  });
  if (!stored) return { text: firstPlan(context.product), digest: undefined, isNew: true };
  return { text: stored.text, digest: stored.manifest.digest, isNew: false };
}

/** Returns the text of a file, `-` for standard input. Undefined if it does not exist. */
export async function readPlanFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(path === '-' ? '/dev/stdin' : path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new ConfigError(`--file: cannot read ${path}: ${fileProblem(error)}`);
  }
}

async function writePlanFile(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text);
  } catch (error) {
    throw new ConfigError(`--file: cannot write ${path}: ${writeProblem(error)}`);
  }
}

/** A change of a plan with errors could do something else than it says. */
async function demandSound(text: string, product: string, place: string): Promise<void> {
  try {
    await checkedPlan(text, product);
  } catch (error) {
    if (!(error instanceof OtaError)) throw error;
    throw new OtaError(error.code, `${place}: ${error.message}. Correct it with otaflux plan edit`, { cause: error });
  }
}

function nothingChanged(context: PlanContext, { json }: ChangeOptions, serial: number): number {
  if (json) printResult(context, { serial, digest: null, changed: false, notes: [] });
  else process.stdout.write(`The plan says so already (serial ${serial}).\n`);
  return EXIT_DONE;
}

interface Result {
  readonly serial: number;
  readonly digest: string | null;
  readonly changed: boolean;
  readonly notes: readonly string[];
}

export function printResult({ repository }: PlanContext, result: Result): void {
  process.stdout.write(`${JSON.stringify({ repository, tag: PLAN_TAG, ...result })}\n`);
}

const signedBy = (signer: Signer | undefined): string => (signer ? `, signed with ${signer.name}` : '');
