import type { Command } from 'commander';
import { CliCommand } from '../cli-command.js';
import { addFlags } from '../flags.js';
import type { ChannelOptions } from './channel-changes.js';
import type { Change, ChangeOptions } from './change-plan.js';
import type * as Changes from './channel-changes.js';
import type { PlanContext } from './plan-context.js';
import { CHANGED, groupCommand, PLAN_VARIABLES, PRODUCT, VERSION, withChange } from './plan-options.js';

/** `otaflux channel`: which versions the units of a channel get. */
export function channelCommand(): Command {
  return groupCommand(
    'channel',
    'Set and list the channels of a product.',
    'Shows and changes the channels in the plan of a product. The units of a channel get the same versions.',
    [setCommand(), listCommand(), removeCommand()],
  )
    .withExamples(
      { does: 'Keep stable below 2.0.0', call: 'otaflux channel set esp32 stable --versions ">=1.0.0 <2.0.0"' },
      { does: 'Show the channels', call: 'otaflux channel list esp32' },
    )
    .withExitCodes(CHANGED);
}

function setCommand(): Command {
  const command = new CliCommand('set')
    .summary('Create a channel, or change it.')
    .description(
      'Creates a channel, or changes which versions it has: a range, of which the highest version is offered, or exactly one version.',
    )
    .argument('<product>', PRODUCT)
    .argument('<channel>', 'Name of the channel, such as stable.')
    .option('--versions <range>', 'Range of versions, such as ">=1.0.0 <2.0.0".')
    .option('--pin <version>', 'Exactly this version.')
    .option('--with-prereleases', 'Offer pre-releases in the range, too.')
    .option('--without-prereleases', 'Offer no pre-releases of the range.')
    .option('--default', 'Make it the channel of all units that no rule names.')
    .option('--force', 'Name a version that is not in the registry yet.')
    .withExamples(
      {
        does: 'Create a channel for testers',
        call: 'otaflux channel set esp32 beta --versions ">=1.0.0" --with-prereleases',
      },
      { does: 'Give the laboratory one version', call: 'otaflux channel set esp32 lab --pin 2.0.0-rc.3' },
    )
    .withExitCodes(CHANGED);
  return withChange(command).action((product: string, channel: string) =>
    change(command, product, (changes, context) =>
      changes.setChannel(context, channel, command.opts<ChannelOptions>()),
    ),
  );
}

function listCommand(): Command {
  const command = new CliCommand('list')
    .summary('List the channels of a product.')
    .description('Lists the channels in the plan of a product, with their versions and rollouts.')
    .argument('<product>', PRODUCT)
    .option('-f, --file <path>', 'Read this file instead of the plan in the registry.')
    .option('--json', 'Print the result as JSON.')
    .withExamples({
      does: 'List the channels of esp32',
      call: 'otaflux channel list esp32 --registry-url oci:./registry',
    })
    .withExitCodes({
      0: 'The plan has channels.',
      1: 'There is no plan, or it has errors.',
      2: 'An argument or an option is wrong.',
    });
  return addFlags(command, PLAN_VARIABLES).action(async (product: string) => {
    const [{ PlanContext: Context }, { listChannels }] = await Promise.all([
      import('./plan-context.js'),
      import('./plan-views.js'),
    ]);
    process.exitCode = await listChannels(await Context.of(command, product), command.opts());
  });
}

function removeCommand(): Command {
  const command = new CliCommand('remove')
    .summary('Remove a channel.')
    .description('Removes a channel that no rule and no rollout of the plan names.')
    .argument('<product>', PRODUCT)
    .argument('<channel>', 'Name of the channel.')
    .withExamples({ does: 'Remove the channel beta', call: 'otaflux channel remove esp32 beta' })
    .withExitCodes(CHANGED);
  return withChange(command).action((product: string, channel: string) =>
    change(command, product, (changes) => changes.removeChannel(channel)),
  );
}

/** `otaflux pin`: gives a unit exactly one version, or a channel. */
export function pinCommand(): Command {
  const command = new CliCommand('pin')
    .summary('Give a unit exactly one version, or a channel.')
    .description(
      'Gives a unit exactly one version, without the rollout of that version, or puts it into a channel. The rule is the first of the plan.',
    )
    .argument('<product>', PRODUCT)
    .argument('<unit>', 'The unit, or a pattern with * and ?, in quotes.')
    .argument('[version]', VERSION)
    .option('--channel <name>', 'Put the unit into this channel instead.')
    .option('--force', 'Name a version that is not in the registry yet.')
    .withExamples(
      { does: 'Keep one unit at 1.4.2', call: 'otaflux pin esp32 24:6f:28:aa:bb:cc 1.4.2' },
      { does: 'Put all units of the laboratory into a channel', call: 'otaflux pin esp32 "lab-*" --channel beta' },
    )
    .withExitCodes(CHANGED);
  return withChange(command).action((product: string, unit: string, version: string | undefined) =>
    change(command, product, (changes, context) => changes.pinUnit(context, unit, version, command.opts())),
  );
}

/** `otaflux unpin`: removes the rule of a unit. */
export function unpinCommand(): Command {
  const command = new CliCommand('unpin')
    .summary('Remove what pin has set.')
    .description('Removes the rule of a unit or a pattern from the plan.')
    .argument('<product>', PRODUCT)
    .argument('<unit>', 'The unit or the pattern, as it is in the plan.')
    .withExamples({ does: 'Give a unit what all others get', call: 'otaflux unpin esp32 24:6f:28:aa:bb:cc' })
    .withExitCodes(CHANGED);
  return withChange(command).action((product: string, unit: string) =>
    change(command, product, (changes) => changes.unpinUnit(unit)),
  );
}

/** `otaflux yank`: never offers a version again. */
export function yankCommand(): Command {
  const command = new CliCommand('yank')
    .summary('Never offer a version again.')
    .description(
      'Withdraws a version: nobody is offered it any more. Units that run it are offered what their channel says, even if that is older. The firmware stays in the registry.',
    )
    .argument('<product>', PRODUCT)
    .argument('<version>', VERSION)
    .withExamples({ does: 'Withdraw 1.4.3', call: 'otaflux yank esp32 1.4.3' })
    .withExitCodes(CHANGED);
  return withChange(command).action((product: string, version: string) =>
    change(command, product, (changes, context) => changes.yankVersion(context, version)),
  );
}

/** `otaflux unyank`: takes a yank back. */
export function unyankCommand(): Command {
  const command = new CliCommand('unyank')
    .summary('Take a yank back.')
    .description('Takes a yank back: the version may be offered again.')
    .argument('<product>', PRODUCT)
    .argument('<version>', VERSION)
    .withExamples({ does: 'Offer 1.4.3 again', call: 'otaflux unyank esp32 1.4.3' })
    .withExitCodes(CHANGED);
  return withChange(command).action((product: string, version: string) =>
    change(command, product, (changes) => changes.unyankVersion(version)),
  );
}

/** `otaflux promote`: gives a channel exactly one version. */
export function promoteCommand(): Command {
  const command = new CliCommand('promote')
    .summary('Move a version to a channel.')
    .description('Gives a channel exactly this version. A range of the channel is replaced.')
    .argument('<product>', PRODUCT)
    .argument('<version>', VERSION)
    .argument('<channel>', 'Name of the channel, such as stable.')
    .option('--force', 'Name a version that is not in the registry yet.')
    .withExamples({ does: 'Give stable what beta has tested', call: 'otaflux promote esp32 1.5.0 stable' })
    .withExitCodes(CHANGED);
  return withChange(command).action((product: string, version: string, channel: string) =>
    change(command, product, (changes, context) =>
      changes.promoteVersion(context, version, channel, command.opts<{ force?: boolean }>().force ?? false),
    ),
  );
}

/** `otaflux rollback`: gives a channel exactly the version before. */
export function rollbackCommand(): Command {
  const command = new CliCommand('rollback')
    .summary('Take a channel back to the version before.')
    .description('Gives a channel exactly the version before the one that it offers, and prints what devices will do.')
    .argument('<product>', PRODUCT)
    .argument('[channel]', 'Name of the channel. Default: the default channel.')
    .option('--to <version>', 'Go back to this version.')
    .option('--force', 'Name a version that is not in the registry yet.')
    .withExamples({ does: 'Take stable back', call: 'otaflux rollback esp32 stable' })
    .withExitCodes(CHANGED);
  return withChange(command).action((product: string, channel: string | undefined) => {
    const { to, force } = command.opts<{ to?: string; force?: boolean }>();
    return change(command, product, (changes, context) => changes.rollBack(context, channel, to, force ?? false));
  });
}

async function change(
  command: Command,
  product: string,
  make: (changes: typeof Changes, context: PlanContext) => Change,
): Promise<void> {
  const [{ PlanContext: Context }, { changePlan }, changes] = await Promise.all([
    import('./plan-context.js'),
    import('./change-plan.js'),
    import('./channel-changes.js'),
  ]);
  const context = await Context.of(command, product);
  process.exitCode = await changePlan(context, command.opts<ChangeOptions>(), make(changes, context));
}
