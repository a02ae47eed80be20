import { buildPlan } from './build-plan.js';
import { packed, unpacked } from './packed-content.js';
import type { Channel, Plan, PlannedUnit, PlanProblem, Rollout, UnitRule } from './plan.js';
import type { PlanContent } from './schema.js';

/** A longer plan is never built again: that would take longer than a decision may. */
const MAX_PACKED = 2_000;
/** Number of plans that are kept built, a few KB each: those of the products that were asked for last. */
const MAX_BUILT = 2_000;

const NO_WARNINGS: readonly PlanProblem[] = [];

/** Returns `plan`, which was built of `content`, in a form that takes little memory while nobody asks for it. */
export function packedPlan(content: PlanContent, plan: Plan): Plan {
  const text = packed(content);
  return text.length > MAX_PACKED ? plan : new PackedPlan(plan, text);
}

/** Returns the plan itself, to ask it many questions at once. */
export function builtPlan(plan: Plan): Plan {
  return plan instanceof PackedPlan ? plan.built : plan;
}

/** A plan that is kept as a text, and built when it is asked for. */
class PackedPlan implements Plan {
  readonly serial: number;
  readonly warnings: readonly PlanProblem[];
  private kept: Plan | undefined;
  /** Whether it was asked for since it was last looked at. */
  private wasUsed = false;

  constructor(
    plan: Plan,
    private readonly text: string,
  ) {
    this.serial = plan.serial;
    this.warnings = plan.warnings.length === 0 ? NO_WARNINGS : plan.warnings;
    this.keep(plan);
  }

  get built(): Plan {
    this.wasUsed = true;
    return this.kept ?? this.keep(this.build());
  }

  get product(): string | undefined {
    return this.built.product;
  }

  get channels(): ReadonlyMap<string, Channel> {
    return this.built.channels;
  }

  get defaultChannel(): Channel {
    return this.built.defaultChannel;
  }

  get units(): readonly UnitRule[] {
    return this.built.units;
  }

  ruleOf(unit: PlannedUnit): UnitRule | undefined {
    return this.built.ruleOf(unit);
  }

  get rollouts(): readonly Rollout[] {
    return this.built.rollouts;
  }

  get rolloutOf(): ReadonlyMap<string, Rollout> {
    return this.built.rolloutOf;
  }

  get yanked(): ReadonlySet<string> {
    return this.built.yanked;
  }

  private build(): Plan {
    return buildPlan({ ...unpacked(this.text), serial: this.serial }, this.warnings).plan;
  }

  private keep(plan: Plan): Plan {
    this.kept = plan;
    PackedPlan.all.add(this);
    if (PackedPlan.all.size > MAX_BUILT) PackedPlan.dropOne();
    return plan;
  }

  /** The plans that are built, those first that are dropped first. */
  private static readonly all = new Set<PackedPlan>();

  /** Drops the first plan that was not asked for since its last turn. */
  private static dropOne(): void {
    for (const one of PackedPlan.all) {
      PackedPlan.all.delete(one);
      if (!one.wasUsed) {
        one.kept = undefined;
        return;
      }
      one.wasUsed = false;
      PackedPlan.all.add(one);
    }
  }
}
