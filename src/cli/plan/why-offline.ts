import { textOf, whyOf } from '../../control/why.js';
import { newestFirst } from '../../firmware/select-version.js';
import type { Step } from '../../plan/index.js';
import { planIn, selectOffline } from './offline.js';
import type { PlanContext } from './plan-context.js';
import type { WhyOptions } from './why-options.js';

const UNKNOWN =
  'otaflux: decided without a server: what the unit has reported, counts, halts, rates and stages with until are not known\n';

/** Prints what the server would decide, from the registry alone. Resolves to the exit code. */
export async function whyOffline(context: PlanContext, options: WhyOptions): Promise<number> {
  const { product, settings } = context;
  const source = await context.source();
  const plan = await planIn(source);
  const tags = (await context.all()).map(({ tag }) => tag);
  const nowMs = options.at === undefined ? Date.now() : Date.parse(options.at);
  const { unit, running, hardware, channel } = options;
  const asked = { product, unit, running, hardware, channel };
  const steps: Step[] = [];
  const selection = await selectOffline(source, plan, newestFirst(tags, settings), asked, nowMs, (step) => {
    steps.push(step);
  });
  context.clear();
  const why = whyOf(selection, asked, nowMs, plan?.serial, steps);
  process.stderr.write(UNKNOWN);
  process.stdout.write(options.json ? `${JSON.stringify(why)}\n` : textOf(why));
  return 0;
}
