import type { Command } from 'commander';
import { ConfigError } from '../../errors.js';
import { CliCommand } from '../cli-command.js';
import { addOptions, givenFlags } from '../flags.js';
import { ANSWERED, serverOf, withServer } from '../server-options.js';
import { PLAN_VARIABLES, PRODUCT } from './plan-options.js';
import type { WhyOptions } from './why-options.js';

/** `otaflux why`: what a unit is offered, step by step. */
export function whyCommand(): Command {
  const command = new CliCommand('why')
    .summary('Explain what a unit is offered.')
    .description(
      'Explains what a unit is offered, step by step, as a running server decides it. With --registry-url and without --url, the same decision is made from the registry alone: without what units have reported, and by the clock alone.',
    )
    .argument('<product>', PRODUCT)
    .option('--unit <unit>', 'The unit. Default: a device that does not say which unit it is.')
    .option('--at <time>', 'Decide for this time, such as 2026-11-25T08:00:00Z. Default: now.')
    .option('--running <version>', 'Version that the unit runs. Default: what it has reported.')
    .option('--hardware <name>', 'Hardware of the unit. Default: what it has reported.')
    .option('--channel <name>', 'Channel that the unit names in its request.')
    .withExamples(
      { does: 'Explain what a unit is offered', call: 'otaflux why esp32 --unit 24:6f:28:aa:bb:cc' },
      {
        does: 'The same without a server',
        call: 'otaflux why esp32 --unit unit-7 --running 1.0.0 --registry-url oci:./registry',
      },
    )
    .withExitCodes({ ...ANSWERED, 0: 'The decision is printed.', 1: 'The server has no release for this product.' });
  addOptions(withServer(command), PLAN_VARIABLES);
  return command.action(async (product: string) => {
    const options = command.opts<WhyOptions>();
    if (options.at !== undefined && Number.isNaN(Date.parse(options.at)))
      throw new ConfigError(`--at: got ${JSON.stringify(options.at)}, expected a time such as 2026-11-25T08:00:00Z`);
    const isOffline = options.url === undefined && 'registry-url' in givenFlags(command);
    if (isOffline) {
      const [{ PlanContext }, { whyOffline }] = await Promise.all([
        import('./plan-context.js'),
        import('./why-offline.js'),
      ]);
      process.exitCode = await whyOffline(await PlanContext.of(command, product), options);
      return;
    }
    const { why } = await import('./why.js');
    process.exitCode = await why(await serverOf(command), product, options);
  });
}
