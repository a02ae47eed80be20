import { textOf, whyOf } from '../../control/why.js';
import { OtaError } from '../../errors.js';
import { newestFirst } from '../../firmware/select-version.js';
import {
  PlanSelector,
  Standings,
  stageAt,
  type Rollout,
  type RolloutStanding,
  type Servable,
  type Step,
} from '../../plan/index.js';
import { PLAN_TAG, type Plan } from '../../plan/plan.js';
import { isGood } from '../version-checker.js';
import { checkedPlan } from './checked-plan.js';
import type { PlanContext } from './plan-context.js';
import type { WhyOptions } from './why-options.js';

/** Versions that are examined. */
const MAX_EXAMINED = 50;
const UNKNOWN =
  'otaflux: decided without a server: what the unit has reported, counts, halts, rates and stages with until are not known\n';

/** How far rollouts are, by the clock alone. */
class ByClock extends Standings {
  override of(_product: string, rollout: Rollout, nowMs: number): RolloutStanding {
    return { stage: stageAt(rollout, undefined, nowMs), halted: undefined, mayOffer: true };
  }
}

/** Prints what the server would decide, from the registry alone. Resolves to the exit code. */
export async function whyOffline(context: PlanContext, options: WhyOptions): Promise<number> {
  const { product } = context;
  const plan = await planOf(context);
  const releases = await releasesOf(context, plan);
  context.clear();
  const nowMs = options.at === undefined ? Date.now() : Date.parse(options.at);
  const { unit, running, hardware, channel } = options;
  const asked = { product, unit, running, hardware, channel };
  const steps: Step[] = [];
  const selection = new PlanSelector().select(
    { product, plan, releases },
    asked,
    nowMs,
    { rollouts: new ByClock() },
    (step) => void steps.push(step),
  );
  const why = whyOf(selection, asked, nowMs, plan?.serial, steps);
  process.stderr.write(UNKNOWN);
  process.stdout.write(options.json ? `${JSON.stringify(why)}\n` : textOf(why));
  return 0;
}

/** Returns the plan in the registry, or undefined if there is none. Rejects if the server would refuse it. */
async function planOf(context: PlanContext): Promise<Plan | undefined> {
  const stored = await context.store.read();
  if (!stored) return undefined;
  const refusal = await context.verify(stored.manifest);
  if (refusal !== undefined)
    throw new OtaError('untrusted', `${context.repository}:${PLAN_TAG}: the server refuses this plan: ${refusal}`);
  return checkedPlan(stored.text, context.product);
}

/** Returns the newest versions that can be served, and those that the plan names. */
async function releasesOf(context: PlanContext, plan: Plan | undefined): Promise<Servable[]> {
  const candidates = newestFirst(
    (await context.all()).map(({ tag }) => tag),
    context.settings,
  );
  const named = new Set(
    plan && [...plan.units, ...plan.channels.values(), ...plan.rollouts].map(({ version }) => version),
  );
  const releases: Servable[] = [];
  for (const [index, { version }] of candidates.entries()) {
    if (index >= MAX_EXAMINED && !named.has(version)) continue;
    const checked = await context.check(version);
    if (!checked || !isGood(checked) || checked.digest === null) continue;
    releases.push({ version, manifestDigest: checked.digest, conditions: await context.conditions(checked) });
    if (!plan) break;
  }
  return releases;
}
