import type { Catalogue, Servable } from './catalogue.js';
import { Decision } from './decision.js';
import { builtPlan } from './packed-plan.js';
import { Selector, type Asking, type Selection, type Step } from './selector.js';
import type { Standing } from './standing.js';

/** Selects by the plan of the catalogue; without a plan, the newest release. */
export class PlanSelector extends Selector {
  override select<R extends Servable>(
    catalogue: Catalogue<R>,
    asking: Asking,
    nowMs: number,
    standing: Standing,
    tell?: (step: Step) => void,
  ): Selection<R> {
    if (catalogue.plan)
      return new Decision(catalogue, builtPlan(catalogue.plan), asking, nowMs, standing, tell).select();
    const [newest] = catalogue.releases;
    tell?.({
      subject: 'plan',
      finding: `${catalogue.product} has no plan, so every unit is offered the newest release`,
    });
    tell?.({
      subject: 'releases',
      finding: newest ? `the newest is ${newest.version}` : 'there is none that can be served',
    });
    return { release: newest, reason: newest ? 'newest' : 'unavailable', about: newest, channel: undefined };
  }
}
