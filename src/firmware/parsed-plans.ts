import type { Plan } from '../plan/index.js';

/** References to plans that nobody uses any more are removed after so many new ones. */
const SWEEP_AFTER = 1_000;

/** Parsed plans by the digest of their YAML, as long as they are used: many products may have the same plan. */
export class ParsedPlans {
  private readonly known = new Map<string, WeakRef<Plan>>();
  private added = 0;

  /** Returns the plan with this digest, or the result of `parse`. */
  of(digest: string, parse: () => Plan): Plan {
    const found = this.known.get(digest)?.deref();
    if (found) return found;
    const plan = parse();
    this.known.set(digest, new WeakRef(plan));
    if (++this.added >= SWEEP_AFTER) this.sweep();
    return plan;
  }

  private sweep(): void {
    this.added = 0;
    for (const [digest, plan] of this.known) if (!plan.deref()) this.known.delete(digest);
  }
}
