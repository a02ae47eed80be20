import { Option as Flag, type Command } from 'commander';
import { ConfigError } from '../../errors.js';
import { CliCommand } from '../cli-command.js';
import { addOptions } from '../flags.js';
import { ANSWERED, serverOf, withServer } from '../server-options.js';
import type { Change, ChangeOptions } from './change-plan.js';
import type * as Changes from './rollout-changes.js';
import type { PlanContext } from './plan-context.js';
import { CHANGED, groupCommand, PRODUCT, VERSION, withChange } from './plan-options.js';
import { DEFAULT_HALT, DEFAULT_STAGES, type StartOptions } from './rollout-options.js';

const OF_ROLLOUT = 'Version of the rollout. Default: the only rollout of the plan.';

/** `otaflux rollout`: gives a version to units stage by stage. */
export function rolloutCommand(): Command {
  return groupCommand(
    'rollout',
    'Roll out a version in stages.',
    'Rolls out a version in stages: changes the plan of a product in the registry, and pushes it with the next serial.',
    [startCommand(), statusCommand(), pauseCommand(), resumeCommand(), finishCommand(), abortCommand()],
  )
    .withExamples(
      {
        does: 'Offer 1.5.0 to 1 % of the units, then to 10 %, then to all',
        call: 'otaflux rollout start esp32 1.5.0 --stages 1%/1d,10%/1d',
      },
      { does: 'See how far it is', call: 'otaflux rollout status esp32' },
    )
    .withExitCodes(CHANGED);
}

function startCommand(): Command {
  const command = new CliCommand('start')
    .summary('Start the rollout of a version.')
    .description(
      'Starts the rollout of a version. Run it before you push the version, because a version without a rollout is offered to everybody.',
    )
    .argument('<product>', PRODUCT)
    .argument('<version>', VERSION)
    .option('--stages <list>', `Stages as PERCENT/DURATION, then everybody. Default: ${DEFAULT_STAGES}.`)
    .option(
      '--halt <share>',
      `Stop when this share of the finished installs has failed, of at least 20: 5%, or 5%/50. Default: ${DEFAULT_HALT}.`,
    )
    .option('--no-halt', 'Never stop by itself.')
    .option(
      '--until <share>',
      'A stage does not end before this share of its finished installs has succeeded: 98%, or 98%/50.',
    )
    .addOption(
      new Flag(
        '--channel <name>',
        'Channel that gets the version. May be repeated. Default: the default channel.',
      ).argParser(collect),
    )
    .option('--from <range>', 'Only units that run a version of this range.')
    .option('--starts <time>', 'When the first stage begins. Default: now.')
    .option('--rate <rate>', 'Most units that are newly offered the version in a time: 500/h.')
    .option('--window <from-to>', 'Offer the version in this time of the day only: 01:00-05:00.')
    .option('--zone <name>', 'Time zone of --window for units that report none, such as Europe/Berlin. Default: UTC.')
    .option('--downgrade', 'Offer it also to units that run a newer version.')
    .option('--force', 'Start it although the channel does not contain the version.')
    .withExamples(
      {
        does: 'Roll out in the default stages',
        call: 'otaflux rollout start esp32 1.5.0 --registry-url oci:./registry',
      },
      {
        does: 'Roll out at night, signed',
        call: 'otaflux rollout start esp32 1.5.0 --stages 1%/1d,10%/1d,50%/2d --halt 5% --window 01:00-05:00 --zone Europe/Berlin --sign-key cosign.key',
      },
    )
    .withExitCodes(CHANGED);
  return withChange(command).action(async (product: string, version: string) => {
    const options = command.opts<StartOptions & ChangeOptions & { force?: boolean }>();
    if (options.zone !== undefined && options.window === undefined)
      throw new ConfigError('--zone: it belongs to --window, which is missing');
    // Commander sets --no-halt as a default of true.
    const halt = options.halt === (true as unknown) ? undefined : options.halt;
    await change(command, product, (changes, context) =>
      changes.startRollout(
        context,
        version,
        { ...options, ...(halt === undefined ? { halt: DEFAULT_HALT } : { halt }) },
        new Date(),
      ),
    );
  });
}

function pauseCommand(): Command {
  const command = new CliCommand('pause')
    .summary('Stop a rollout until it is resumed.')
    .description(
      'Stops a rollout: no further unit is offered the version, and the stage stands still. Units that were offered it keep the offer.',
    )
    .argument('<product>', PRODUCT)
    .argument('[version]', OF_ROLLOUT)
    .withExamples({ does: 'Pause the only rollout of esp32', call: 'otaflux rollout pause esp32' })
    .withExitCodes(CHANGED);
  return withChange(command).action((product: string, version: string | undefined) =>
    change(command, product, (changes) => changes.pauseRollout(version, new Date())),
  );
}

function resumeCommand(): Command {
  const command = new CliCommand('resume')
    .summary('Go on with a rollout after a pause or a halt.')
    .description(
      'Goes on with a rollout. After a pause, it goes on where it stood. After a halt, give --url: a server says which stage was halted, and that stage begins anew. Or give --after-halt: then the rollout begins with its first stage. Installs are counted anew after a halt.',
    )
    .argument('<product>', PRODUCT)
    .argument('[version]', OF_ROLLOUT)
    .option('--after-halt', 'Go on after servers have halted it.')
    .option('--url <url>', 'URL of the management port of a server, which is asked which stage it has halted.')
    .withExamples(
      { does: 'Go on after a pause', call: 'otaflux rollout resume esp32' },
      {
        does: 'Go on after a halt, with the stage that was halted',
        call: 'otaflux rollout resume esp32 1.5.0 --url http://otaflux.example.com:9090',
      },
    )
    .withExitCodes({ ...CHANGED, 3: 'The server could not be reached, or refused the request.' });
  return addOptions(withChange(command), ['MANAGEMENT_TOKEN']).action(
    async (product: string, version: string | undefined) => {
      const { afterHalt, url } = command.opts<{ afterHalt?: boolean; url?: string }>();
      const { haltedStageOf } = await import('./rollout-status.js');
      const stage = url === undefined ? undefined : await haltedStageOf(await serverOf(command), product, version);
      if (stage === 'not-asked') process.exitCode = 3;
      else
        await change(command, product, (changes) =>
          changes.resumeRollout(
            version,
            { afterHalt: afterHalt ?? stage !== undefined, stage, isAsked: url !== undefined },
            new Date(),
          ),
        );
    },
  );
}

function finishCommand(): Command {
  const command = new CliCommand('finish')
    .summary('Offer a version to everybody now.')
    .description('Ends a rollout early: the version is offered to all units of its channels now.')
    .argument('<product>', PRODUCT)
    .argument('[version]', OF_ROLLOUT)
    .withExamples({ does: 'Finish the only rollout of esp32', call: 'otaflux rollout finish esp32' })
    .withExitCodes(CHANGED);
  return withChange(command).action((product: string, version: string | undefined) =>
    change(command, product, (changes) => changes.finishRollout(version)),
  );
}

function abortCommand(): Command {
  const command = new CliCommand('abort')
    .summary('Withdraw a version from everybody.')
    .description(
      'Ends a rollout, and yanks its version: nobody is offered it any more. Units that run it are offered what their channel has without it, even if that is older.',
    )
    .argument('<product>', PRODUCT)
    .argument('[version]', OF_ROLLOUT)
    .withExamples({ does: 'Withdraw 1.5.0', call: 'otaflux rollout abort esp32 1.5.0' })
    .withExitCodes(CHANGED);
  return withChange(command).action((product: string, version: string | undefined) =>
    change(command, product, (changes) => changes.abortRollout(version)),
  );
}

function statusCommand(): Command {
  const command = new CliCommand('status')
    .summary('Show how far the rollouts of a product are.')
    .description(
      'Shows the rollouts of a product, as a running server sees them: their stage, counts, and whether they are halted.',
    )
    .argument('<product>', PRODUCT)
    .withExamples({ does: 'Show the rollouts of esp32', call: 'otaflux rollout status esp32' })
    .withExitCodes({ ...ANSWERED, 1: 'The server has no plan for this product, or the plan is refused.' });
  return withServer(command).action(async (product: string) => {
    const { json } = command.opts<{ json?: boolean }>();
    const { rolloutStatus } = await import('./rollout-status.js');
    process.exitCode = await rolloutStatus(await serverOf(command), product, json ?? false);
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
    import('./rollout-changes.js'),
  ]);
  const context = await Context.of(command, product);
  process.exitCode = await changePlan(context, command.opts<ChangeOptions>(), make(changes, context));
}

function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), ...value.split(',')];
}
