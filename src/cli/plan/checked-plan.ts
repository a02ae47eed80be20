import { OtaError } from '../../errors.js';
import type { Plan } from '../../plan/plan.js';
import type { PlanDocument } from './plan-document.js';

/** A plan with errors, a line for each. */
export class FaultyPlan extends OtaError {
  constructor(
    readonly problems: readonly string[],
    options?: ErrorOptions,
  ) {
    super('protocol', problems.join('; '), options);
  }
}

/** Returns the plan in `text`. Rejects with FaultyPlan if it has errors, or names another product than `product`. */
export async function checkedPlan(text: string, product?: string): Promise<Plan> {
  // A command that needs no plan must not load it.
  const [{ parsePlan }, { PlanError, problemText }] = await Promise.all([
    import('../../plan/parse-plan.js'),
    import('../../plan/plan.js'),
  ]);
  try {
    return parsePlan(text, product);
  } catch (error) {
    if (error instanceof PlanError) throw new FaultyPlan(error.problems.map(problemText), { cause: error });
    throw error;
  }
}

/** Returns the plan in a document, also before it has its first serial. */
export async function parsedPlan(document: PlanDocument): Promise<Plan> {
  return checkedPlan(document.toString().replace(/^serial: 0$/m, 'serial: 1'));
}
