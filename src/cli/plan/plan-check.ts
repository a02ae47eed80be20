import { OtaError, reasonOf } from '../../errors.js';
import { PLAN_TAG, type Plan } from '../../plan/plan.js';
import { EXIT_DONE, EXIT_FAILURE, readPlanFile } from './change-plan.js';
import { checkedPlan, FaultyPlan } from './checked-plan.js';
import type { PlanContext } from './plan-context.js';
import { noFile, noPlan } from './plan-views.js';

/** What was found of a plan. With an error, the server would not take it. */
interface Findings {
  readonly errors: string[];
  readonly warnings: string[];
  readonly plan?: Plan | undefined;
}

/** Checks a file alone. Resolves to the exit code. */
export async function checkOffline(file: string, product: string, json: boolean): Promise<number> {
  const text = await readPlanFile(file);
  if (text === undefined) throw noFile(file);
  return print(file, await read(text, product), json);
}

/** Checks a file against the registry, or the plan in it. Resolves to the exit code. */
export async function checkPlan(
  context: PlanContext,
  { file, json = false }: { readonly file?: string; readonly json?: boolean },
): Promise<number> {
  const stored = await context.store.read();
  const text = file === undefined ? stored?.text : await readPlanFile(file);
  if (text === undefined) throw file === undefined ? noPlan(context) : noFile(file);
  const findings = await read(text, context.product);
  if (findings.plan) {
    if (file !== undefined && stored) await compareSerial(findings, stored.text, text);
    if (file === undefined && stored) await checkSignature(context, findings, stored.manifest);
    await checkVersions(context, findings.plan, findings.warnings);
  }
  context.clear();
  return print(file ?? `${context.repository}:${PLAN_TAG}`, findings, json);
}

async function read(text: string, product: string): Promise<Findings> {
  try {
    const plan = await checkedPlan(text, product);
    return { errors: [], warnings: [], plan };
  } catch (error) {
    if (error instanceof FaultyPlan) return { errors: [...error.problems], warnings: [] };
    throw error;
  }
}

async function compareSerial({ errors, plan }: Findings, before: string, after: string): Promise<void> {
  const current = await checkedPlan(before).catch(() => undefined);
  if (!current || !plan || before === after) return;
  if (plan.serial <= current.serial)
    errors.push(
      `serial: got ${plan.serial}, expected more than ${current.serial}, which is in the registry. Raise it, or push with --serial next`,
    );
}

async function checkSignature(
  context: PlanContext,
  { errors }: Findings,
  manifest: Parameters<PlanContext['verify']>[0],
): Promise<void> {
  const refusal = await context.verify(manifest);
  if (refusal !== undefined)
    errors.push(`the server refuses it: ${refusal}. Sign it with otaflux plan push --sign-key`);
}

/** Versions that the plan names, but that cannot be offered. */
async function checkVersions(context: PlanContext, plan: Plan, warnings: string[]): Promise<void> {
  const named = new Map<string, string>();
  for (const { version, text } of plan.units) if (version !== undefined) named.set(version, text);
  for (const { version, name } of plan.channels.values())
    if (version !== undefined) named.set(version, `channel ${name}`);
  for (const { version } of plan.rollouts) named.set(version, `rollout ${version}`);
  for (const [version, place] of named) {
    const found = await context.check(version).catch((error: unknown) => {
      if (!(error instanceof OtaError)) throw error;
      return { result: error.code, reason: reasonOf(error) };
    });
    if (!found) warnings.push(`${place}: ${version} is not in ${context.repository}`);
    else if (found.result !== 'trusted' && found.result !== 'unverified')
      warnings.push(`${place}: ${version} cannot be offered: ${found.reason ?? found.result}`);
    if (plan.yanked.has(version)) warnings.push(`${place}: ${version} is yanked`);
  }
}

function print(place: string, { errors, warnings, plan }: Findings, json: boolean): number {
  const isRight = errors.length === 0;
  if (json)
    process.stdout.write(
      `${JSON.stringify({ place, valid: isRight, serial: plan?.serial ?? null, errors, warnings })}\n`,
    );
  else {
    for (const error of errors) process.stderr.write(`otaflux: ${place}: ${error}\n`);
    for (const warning of warnings) process.stderr.write(`otaflux: warning: ${place}: ${warning}\n`);
    if (isRight && plan) process.stdout.write(`${place} is right: ${contentOf(plan)}\n`);
  }
  return isRight ? EXIT_DONE : EXIT_FAILURE;
}

function contentOf({ serial, channels, rollouts, units }: Plan): string {
  const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`;
  return `serial ${serial}, ${count(channels.size, 'channel')}, ${count(rollouts.length, 'rollout')}, ${count(units.length, 'rule')} for units.`;
}
