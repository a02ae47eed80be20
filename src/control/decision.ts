import { conditionsOf, type Release } from '../firmware/index.js';
import type { UnitState } from '../fleet/index.js';
import type { Asking, Reason, Selection, Step } from '../plan/index.js';
import type { Rollouts } from '../rollout/index.js';
import type { Why } from './why.js';

/**
 * Decides what a unit is offered, and tells how.
 *
 * @param current the release that everybody is offered, of a product without a plan
 */
export function decided(
  rollouts: Rollouts,
  asked: Asking,
  state: UnitState | undefined,
  current: Release | undefined,
  atMs: number,
): Why {
  const { product, unit, running, hardware, channel } = asked;
  const steps: Step[] = [];
  const tell = (step: Step): void => void steps.push(step);
  const planned = rollouts.planned(product);
  const selection = planned
    ? rollouts.select(planned, asked, state, atMs, tell)
    : rollouts.selectUnplanned(product, current && entryOf(current), asked, state, atMs, tell);
  return {
    product,
    unit: unit ?? null,
    at: new Date(atMs).toISOString(),
    serial: planned?.plan.serial ?? null,
    running: running ?? null,
    hardware: hardware ?? null,
    asked: channel ?? null,
    channel: selection.channel ?? null,
    offered: selection.release?.version ?? null,
    digest: selection.release?.manifestDigest ?? null,
    reason: selection.reason,
    about: selection.about?.version ?? null,
    decision: sentenceOf(selection, running),
    steps,
  };
}

const entryOf = (release: Release): Parameters<Rollouts['selectUnplanned']>[1] => ({
  version: release.version,
  manifestDigest: release.manifestDigest,
  conditions: conditionsOf(release),
});

/** Returns the decision as a sentence without its full stop. */
function sentenceOf({ release, reason, about, channel }: Selection, running: string | undefined): string {
  const version = release?.version ?? about?.version ?? 'the release';
  const where = channel === undefined ? '' : ` of channel ${channel}`;
  const sentences: Record<Reason, string> = {
    newest: `${version} is offered: it is the newest release`,
    channel: `${version} is offered: it is the release${where}`,
    stage: `${version} is offered: its rollout has reached the unit`,
    pin: `${version} is offered: the plan names this version for the unit`,
    'up-to-date': `nothing is offered: the unit runs ${version}`,
    newer: `nothing is offered: the unit runs ${running ?? 'a higher version'}, which is higher than ${version}`,
    failed: `nothing is offered: the unit has failed to install ${version}, or has rejected it. Let it try again with otaflux units retry`,
    hardware: `nothing is offered: ${version} is for other hardware`,
    requires: `nothing is offered: ${version} requires another version than the unit runs`,
    unavailable: `nothing is offered: there is no release${where} that can be served`,
    yanked: `nothing is offered: the plan has yanked ${version}`,
    halted: `nothing is offered: the rollout of ${version} is halted`,
    waiting: `nothing is offered: the rollout of ${version} has not reached the unit`,
  };
  return sentences[reason];
}
