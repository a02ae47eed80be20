import type { Asking, Reason, Selection, Step } from '../plan/index.js';

/** One step of a decision: what was examined, and what was found, as a sentence without its full stop. */
export interface WhyStep {
  readonly subject: string;
  readonly finding: string;
}

/** The response of `GET /why`, which `otaflux why --json` prints unchanged. Times are in ISO 8601. */
export interface Why {
  readonly product: string;
  /** Null for a device that does not say which unit it is. */
  readonly unit: string | null;
  /** The time for which it was decided. */
  readonly at: string;
  /** Serial of the plan. Null without a plan. */
  readonly serial: number | null;
  /** What is known of the unit, or what the request has named. */
  readonly running: string | null;
  readonly hardware: string | null;
  /** The channel that the request has named. */
  readonly asked: string | null;
  /** The channel of the unit. Null without a plan. */
  readonly channel: string | null;
  /** The version that is offered. Null if nothing is offered. */
  readonly offered: string | null;
  /** Digest of the manifest that is offered. */
  readonly digest: string | null;
  /** One word: see `Reason` in src/plan/selector.ts. */
  readonly reason: string;
  /** The version that the reason is about. Also set if it is not offered. */
  readonly about: string | null;
  /** The decision as a sentence. */
  readonly decision: string;
  readonly steps: readonly WhyStep[];
}

/**
 * Returns a decision in the form of `GET /why`.
 *
 * @param serial that of the plan; undefined without a plan
 */
export function whyOf(
  selection: Selection,
  { product, unit, running, hardware, channel }: Asking,
  atMs: number,
  serial: number | undefined,
  steps: readonly Step[],
): Why {
  return {
    product,
    unit: unit ?? null,
    at: new Date(atMs).toISOString(),
    serial: serial ?? null,
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

/** Returns the decision as text for people: one line for each step, and the decision in the last one. */
export function textOf({ product, unit, at, serial, steps, decision }: Why): string {
  const plan = serial === null ? 'no plan' : `plan with serial ${serial}`;
  const rows: readonly (readonly [string, string])[] = [
    [product, `${unit === null ? 'a device without a unit' : `unit ${unit}`}, ${at}, ${plan}`],
    ...steps.map(({ subject, finding }): [string, string] => [subject, finding]),
    ['decision', decision],
  ];
  const width = Math.max(...rows.map(([subject]) => subject.length));
  return rows.map(([subject, finding]) => `${subject.padEnd(width)}  ${finding}\n`).join('');
}

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
