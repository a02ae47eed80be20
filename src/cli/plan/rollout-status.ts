import { styleText } from 'node:util';
import type { PlanStatus, RolloutStatus } from '../../rollout/rollout-status.js';
import { ask, EXIT_FAILURE, EXIT_NOT_ASKED, refuse, type ControlledServer } from '../server-request.js';
import { isColourful, tableOf } from '../table.js';

interface Answer {
  readonly plans?: readonly PlanStatus[];
}

/** Prints the rollouts of a product, as a server sees them. Resolves to the exit code. */
export async function rolloutStatus(server: ControlledServer, product: string, json: boolean): Promise<number> {
  const plan = await planOf(server, product);
  if (typeof plan === 'number') return plan;
  if (!plan) {
    process.stderr.write(
      `otaflux: the server has no plan for ${product}. Create one with otaflux rollout start. A product is shown after its first request, or if --watch names it\n`,
    );
    return EXIT_FAILURE;
  }
  if (json) process.stdout.write(`${JSON.stringify(plan)}\n`);
  else print(plan);
  return plan.rejected ? EXIT_FAILURE : 0;
}

/** The stage at which a server has halted a rollout. Undefined if it has not; `not-asked` if the server gave no answer. */
export async function haltedStageOf(
  server: ControlledServer,
  product: string,
  version: string | undefined,
): Promise<number | 'not-asked' | undefined> {
  const plan = await planOf(server, product);
  if (typeof plan === 'number') return 'not-asked';
  const rollouts = plan?.rollouts ?? [];
  const rollout = rollouts.find((one) => one.version === version) ?? (rollouts.length === 1 ? rollouts[0] : undefined);
  return rollout?.halted ? Math.max(rollout.stage, 1) : undefined;
}

/** Returns the plan, undefined if there is none, or the exit code if the server gave no answer. */
async function planOf(server: ControlledServer, product: string): Promise<PlanStatus | number | undefined> {
  const answer = await ask(server, 'GET', 'status', { device: product });
  if (!answer) return EXIT_NOT_ASKED;
  if (answer.code !== 200) return refuse(server, answer);
  return (JSON.parse(answer.body) as Answer).plans?.find((plan) => plan.product === product);
}

function print({ product, serial, digest, rejected, shared, rollouts }: PlanStatus): void {
  const lines = [
    serial === null
      ? `${product}: no plan could be taken, so nothing is offered`
      : `${product}: plan with serial ${serial} (${digest?.slice(0, 19) ?? ''}…)`,
    ...(rejected ? [`A newer plan is not taken: ${rejected.reason}`] : []),
    ...(shared || rollouts.length === 0
      ? []
      : ['This server counts for itself. Other replicas may have seen other units.']),
  ];
  const rows = rollouts.map((rollout) => [
    rollout.attempt > 1 ? `${rollout.version} (attempt ${rollout.attempt})` : rollout.version,
    rollout.channels.join(','),
    rollout.state,
    stageText(rollout),
    `${rollout.percent} %`,
    String(rollout.offered),
    String(rollout.installed),
    String(rollout.failed),
    noteOf(rollout),
  ]);
  const head = ['VERSION', 'CHANNELS', 'STATE', 'STAGE', 'UNITS', 'OFFERED', 'INSTALLED', 'FAILED', 'NOTE'];
  const [title = '', ...table] = tableOf([head, ...rows]);
  if (rollouts.length > 0) lines.push('', isColourful() ? styleText('bold', title) : title, ...table);
  else lines.push('The plan has no rollout.');
  process.stdout.write(`${lines.join('\n')}\n`);
}

function stageText({ stage, stages }: RolloutStatus): string {
  if (stages === 0) return '-';
  return stage > stages ? 'all' : `${stage} of ${stages}`;
}

function noteOf({ halted, paused, waitsFor, until }: RolloutStatus): string {
  if (halted) return `halted at ${halted.at}: ${halted.reason}`;
  if (paused !== false) return typeof paused === 'string' ? `paused at ${paused}` : 'paused';
  if (waitsFor !== null) return waitsFor;
  return until === null ? '-' : `until ${until}`;
}
