import type { Settings } from '../../config/index.js';
import { OtaError } from '../../errors.js';
import { conditionsIn, type Conditions } from '../../firmware/conditions.js';
import type { Candidate } from '../../firmware/select-version.js';
import type { Descriptor } from '../../oci/index.js';
import {
  PlanSelector,
  Standings,
  stageAt,
  type Asking,
  type Rollout,
  type RolloutStanding,
  type Selection,
  type Servable,
  type Step,
} from '../../plan/index.js';
import { PLAN_TAG, type Plan } from '../../plan/plan.js';
import { createArtifactWriter } from '../../registry/adapters.js';
import type { Registry } from '../../registry/index.js';
import { createPlanKeyVerifier, createVerifier } from '../../signature/create-verifier.js';
import { isGood, type CheckedVersion } from '../checked-version.js';
import { checkedPlan } from './checked-plan.js';
import { PlanStore } from './plan-store.js';

/** Versions that are examined. */
const MAX_EXAMINED = 50;

/** The repository of a product, and how its versions are checked. */
export interface Source {
  readonly product: string;
  readonly repository: string;
  readonly settings: Settings;
  readonly registry: Registry;
  check(candidate: Candidate): Promise<CheckedVersion>;
}

/** How far rollouts are, by the clock alone. */
class ByClock extends Standings {
  override of(_product: string, rollout: Rollout, nowMs: number): RolloutStanding {
    return { stage: stageAt(rollout, undefined, nowMs), halted: undefined, mayOffer: true };
  }
}

/** Returns why the server does not take a plan with this manifest, or undefined if its signature is good. */
export async function planRefusal(
  { settings, registry, repository }: Pick<Source, 'settings' | 'registry' | 'repository'>,
  manifest: Descriptor,
): Promise<string | undefined> {
  const verifier = (await createPlanKeyVerifier(settings, registry)) ?? (await createVerifier(settings, registry));
  const verdict = await verifier.verify(repository, manifest, new AbortController().signal);
  return verdict.trusted ? undefined : verdict.reason;
}

/** Returns the plan in the registry, or undefined if there is none. Rejects with OtaError if the server would refuse it. */
export async function planIn(source: Omit<Source, 'check'>): Promise<Plan | undefined> {
  const { registry, repository, product, settings } = source;
  const store = new PlanStore(registry, () => createArtifactWriter(settings), repository);
  const stored = await store.read();
  if (!stored) return undefined;
  const refusal = await planRefusal(source, stored.manifest);
  if (refusal !== undefined)
    throw new OtaError('untrusted', `${repository}:${PLAN_TAG}: the server refuses this plan: ${refusal}`);
  return checkedPlan(stored.text, product);
}

/**
 * Returns what a unit is offered by what is in the registry alone.
 *
 * @param candidates the versions that the server looks at, newest first
 */
export async function selectOffline(
  source: Source,
  plan: Plan | undefined,
  candidates: readonly Candidate[],
  asking: Asking,
  nowMs: number,
  tell?: (step: Step) => void,
): Promise<Selection> {
  const releases = await releasesOf(source, plan, candidates);
  const { product } = source;
  return new PlanSelector().select({ product, plan, releases }, asking, nowMs, { rollouts: new ByClock() }, tell);
}

/** Returns the newest versions that can be served, and those that the plan names. */
async function releasesOf(
  source: Source,
  plan: Plan | undefined,
  candidates: readonly Candidate[],
): Promise<Servable[]> {
  const named = new Set(
    plan && [...plan.units, ...plan.channels.values(), ...plan.rollouts].map(({ version }) => version),
  );
  const releases: Servable[] = [];
  for (const [index, candidate] of candidates.entries()) {
    const { version } = candidate;
    if (index >= MAX_EXAMINED && !named.has(version)) continue;
    const checked = await source.check(candidate);
    if (checked.digest === null || !isGood(checked)) continue;
    releases.push({ version, manifestDigest: checked.digest, conditions: await conditionsOf(source, checked) });
    if (!plan) break;
  }
  return releases;
}

/** Returns what a version demands of units. */
async function conditionsOf(
  { product, repository, registry }: Source,
  { version, digest }: CheckedVersion,
): Promise<Conditions | undefined> {
  if (digest === null) return undefined;
  const signal = new AbortController().signal;
  const descriptor = await registry.resolve(repository, digest, signal);
  const { content } = await registry.fetchManifest(repository, descriptor, signal);
  return conditionsIn({ device: product, version, annotations: content.annotations ?? {} });
}
