import type { Command } from 'commander';
import { ConfigError } from '../../errors.js';
import { CliCommand } from '../cli-command.js';
import { addFlags } from '../flags.js';
import { withSigning } from '../sign/sign-options.js';
import type { ChangeOptions } from './change-plan.js';
import { CHANGED, groupCommand, PLAN_VARIABLES, PRODUCT } from './plan-options.js';

const FILE = 'File with the plan; - is standard input.';

/** `otaflux plan`: the plan of a product as a whole. */
export function planCommand(): Command {
  return groupCommand(
    'plan',
    'Show, check, edit and push the plan of a product.',
    'Works with the plan of a product: which units are offered which versions, and when. It is stored in the registry beside the firmware, under the tag otaflux-plan.',
    [showCommand(), checkCommand(), diffCommand(), editCommand(), pushCommand(), deleteCommand()],
  )
    .withExamples(
      { does: 'Edit the plan of esp32', call: 'otaflux plan edit esp32' },
      { does: 'Push a plan from git', call: 'otaflux plan push esp32 -f plan.yaml' },
    )
    .withExitCodes(CHANGED);
}

function showCommand(): Command {
  const command = new CliCommand('show')
    .summary('Print the plan of a product.')
    .description('Prints the plan of a product, as it is in the registry.')
    .argument('<product>', PRODUCT)
    .option('--json', 'Print the plan, its digest and its serial as JSON.')
    .withExamples({ does: 'Write the plan to a file', call: 'otaflux plan show esp32 > plan.yaml' })
    .withExitCodes({
      0: 'The plan is printed.',
      1: 'There is no plan, or the registry refused the request.',
      2: 'An argument or an option is wrong.',
    });
  return addFlags(command, PLAN_VARIABLES).action(async (product: string) => {
    const { context, views } = await loaded(command, product);
    process.exitCode = await views.showPlan(context, command.opts<{ json?: boolean }>().json ?? false);
  });
}

function checkCommand(): Command {
  const command = new CliCommand('check')
    .summary('Check a plan.')
    .description(
      'Checks a plan: that in the registry, with its signature, or a file. With --offline, a file is checked without the registry.',
    )
    .argument('<product>', PRODUCT)
    .option('-f, --file <path>', FILE)
    .option('--offline', 'Do not compare the file with the registry: neither its serial nor its versions.')
    .option('--json', 'Print the result as JSON.')
    .withExamples(
      { does: 'Check a file before it is merged', call: 'otaflux plan check esp32 -f plan.yaml --offline' },
      { does: 'Check the plan in the registry', call: 'otaflux plan check esp32 --cosign-pub-key-path cosign.pub' },
    )
    .withExitCodes({
      0: 'The server would take the plan.',
      1: 'It would not, or there is no plan.',
      2: 'An argument or an option is wrong.',
    });
  return addFlags(command, PLAN_VARIABLES).action(async (product: string) => {
    const options = command.opts<{ file?: string; offline?: boolean; json?: boolean }>();
    if (options.offline) {
      if (options.file === undefined) throw new ConfigError('--offline: it belongs to --file, which is missing');
      const { checkOffline } = await import('./plan-check.js');
      process.exitCode = await checkOffline(options.file, product, options.json ?? false);
      return;
    }
    const { context } = await loaded(command, product);
    const { checkPlan } = await import('./plan-check.js');
    process.exitCode = await checkPlan(context, options);
  });
}

function diffCommand(): Command {
  const command = new CliCommand('diff')
    .summary('Compare a file with the plan in the registry.')
    .description('Shows what would change in the registry if the file were pushed.')
    .argument('<product>', PRODUCT)
    .requiredOption('-f, --file <path>', FILE)
    .withExamples({ does: 'Show what a push would change', call: 'otaflux plan diff esp32 -f plan.yaml' })
    .withExitCodes({
      0: 'They are the same.',
      1: 'They differ.',
      2: 'An argument, an option or the file is wrong.',
      3: 'The registry could not be reached, or refused the request.',
    });
  return addFlags(command, PLAN_VARIABLES).action(async (product: string) => {
    const { context, views } = await loaded(command, product);
    process.exitCode = await views.diffPlan(context, command.opts<{ file: string }>().file);
  });
}

function pushCommand(): Command {
  const command = new CliCommand('push')
    .summary('Push a plan from a file.')
    .description(
      'Pushes a plan from a file. Its serial must be higher than that in the registry; --serial next sets it.',
    )
    .argument('<product>', PRODUCT)
    .option('-f, --file <path>', FILE)
    .option(
      '--serial <number>',
      'Serial of the plan in place of that in the file. "next" is one more than that in the registry.',
    )
    .option('--force', 'Replace something in the registry that is no plan.')
    .option('-y, --yes', 'Push without a question. Without a terminal nothing is asked.')
    .option('--dry-run', 'Show the change only.')
    .option('--json', 'Print the result as JSON, without a question.')
    .withExamples({
      does: 'Push a plan that was reviewed in git',
      call: 'otaflux plan push esp32 -f plan.yaml --serial next --sign-key cosign.key',
    })
    .withExitCodes({ ...CHANGED, 0: 'The plan is in the registry.' });
  return withPush(command).action(async (product: string) => {
    const options = command.opts<ChangeOptions & { serial?: string; force?: boolean }>();
    if (options.file === undefined)
      throw new ConfigError('--file is missing, as in "otaflux plan push esp32 -f plan.yaml"');
    const { context } = await loaded(command, product);
    const { pushPlan } = await import('./plan-push.js');
    process.exitCode = await pushPlan(context, { ...options, file: options.file });
  });
}

function editCommand(): Command {
  const command = new CliCommand('edit')
    .summary('Edit the plan in an editor, and push it.')
    .description(
      'Opens the plan of a product in the editor of VISUAL or EDITOR, checks what was saved, and pushes it with the next serial. A plan with errors is opened again.',
    )
    .argument('<product>', PRODUCT)
    .option('-y, --yes', 'Push without a question.')
    .option('--dry-run', 'Show the change only.')
    .withExamples({ does: 'Edit the plan of esp32', call: 'otaflux plan edit esp32' })
    .withExitCodes({ ...CHANGED, 0: 'The plan is pushed, or was not changed.' });
  return withPush(command).action(async (product: string) => {
    const { context } = await loaded(command, product);
    const { editPlan } = await import('./plan-edit.js');
    process.exitCode = await editPlan(context, command.opts());
  });
}

function deleteCommand(): Command {
  const command = new CliCommand('delete')
    .summary('Delete the plan of a product.')
    .description('Deletes the plan of a product. Then every unit is offered the newest version, as without a plan.')
    .argument('<product>', PRODUCT)
    .option('-y, --yes', 'Delete without a question. Required where there is no terminal.')
    .withExamples({
      does: 'End all rollouts, and offer the newest version to everybody',
      call: 'otaflux plan delete esp32',
    })
    .withExitCodes({
      0: 'The plan is deleted.',
      1: 'There is no plan, you answered no, or the registry refused it.',
      2: 'An argument or an option is wrong, or --yes is missing where there is no terminal.',
    });
  return addFlags(command, PLAN_VARIABLES).action(async (product: string) => {
    const { context } = await loaded(command, product);
    const { deletePlan } = await import('./plan-push.js');
    process.exitCode = await deletePlan(context, command.opts<{ yes?: boolean }>().yes ?? false);
  });
}

function withPush<C extends Command>(command: C): C {
  return addFlags(withSigning(command), PLAN_VARIABLES);
}

async function loaded(command: Command, product: string) {
  const [{ PlanContext }, views] = await Promise.all([import('./plan-context.js'), import('./plan-views.js')]);
  return { context: await PlanContext.of(command, product), views };
}
