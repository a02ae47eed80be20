import { compareVersions } from '../../firmware/select-version.js';
import { checkedPlan } from './checked-plan.js';
import type { PlanStore } from './plan-store.js';

/**
 * Returns the channels of a product's plan whose units are offered a version as soon as it is pushed: it is the highest of
 * the channel, and no rollout holds it back. None if the plan cannot be read: then the server does not take it either.
 *
 * @param others versions that the server may offer
 */
export async function channelsOfferedAtOnce(
  store: PlanStore,
  product: string,
  version: string,
  others: readonly string[],
): Promise<readonly string[]> {
  try {
    const stored = await store.read();
    if (!stored) return [];
    const plan = await checkedPlan(stored.text, product);
    if (plan.yanked.has(version)) return [];
    const rollout = plan.rolloutOf.get(version);
    const higher = others.filter((one) => compareVersions(one, version) > 0 && !plan.yanked.has(one));
    return [...plan.channels.values()]
      .filter((channel) => channel.includes(version) && !rollout?.channels.has(channel.name))
      .filter((channel) => !higher.some((one) => channel.includes(one) && !plan.rolloutOf.has(one)))
      .map(({ name }) => name);
  } catch {
    return [];
  }
}
