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
