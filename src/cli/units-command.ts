import type { Command } from 'commander';
import { ConfigError } from '../errors.js';
import { CliCommand } from './cli-command.js';
import { ANSWERED, serverOf, withServer } from './server-options.js';

/** `otaflux units PRODUCT [UNIT]`: what the units of a product have reported to a running server. */
export function unitsCommand(): Command {
  const command = new CliCommand('units')
    .summary('Show what the units of a device run and report.')
    .description(
      'Shows the units of a product that a running server knows: what each unit runs, when it was seen, what it was offered, and how its last update ended. A unit is known after a request that names it.',
    )
    .argument('<product>', 'Device id, such as esp32. In other places of OtaFlux it is called device.')
    .argument('[unit]', 'Show only this unit, with all that it has reported.')
    .option('--limit <number>', 'Maximum number of units. Default: all.')
    .option('--csv', 'Print the units as CSV.')
    .withExamples(
      { does: 'Show all units of esp32', call: 'otaflux units esp32' },
      { does: 'Write a table for a spreadsheet', call: 'otaflux units esp32 --csv > units.csv' },
    )
    .withExitCodes({ ...ANSWERED, 1: 'The server knows no such unit.' });
  command.helpCommand(false).addCommand(retryCommand(command)).addCommand(forgetCommand(command));
  return withServer(command).action(async (product: string, unit: string | undefined) => {
    const { json, csv, limit } = command.opts<{ json?: boolean; csv?: boolean; limit?: string }>();
    if (json && csv) throw new ConfigError('--json and --csv: expected one of them');
    const most = limit === undefined ? Infinity : /^[1-9]\d{0,6}$/.test(limit) ? Number(limit) : NaN;
    if (Number.isNaN(most))
      throw new ConfigError(`--limit: got ${JSON.stringify(limit)}, expected a number from 1 to 9999999`);
    const { units } = await import('./units.js');
    const format = json ? 'json' : csv ? 'csv' : 'table';
    process.exitCode = await units(await serverOf(command), { product, unit }, format, most);
  });
}

/** `otaflux units retry PRODUCT UNIT`: lets a unit try a failed release again. */
function retryCommand(units: Command): Command {
  const command = new CliCommand('retry')
    .summary('Let a unit try again the release that it has failed to install.')
    .description(
      'Lets a unit try again the release that it has failed to install or has rejected. Without it, a unit with a client of hawkBit, Mender, SWUpdate or RAUC is offered only a newer release.',
    )
    .argument('<product>', 'Device id, such as esp32.')
    .argument('<unit>', 'The unit.')
    .withExamples({ does: 'Let the unit gw-0815 try again', call: 'otaflux units retry gateway gw-0815' })
    .withExitCodes({ ...ANSWERED, 1: 'The server knows no such unit.' });
  return withServer(command).action(async (product: string, unit: string) => {
    // Commander gives options that both commands have to the first one, wherever they are written.
    const { json } = units.opts<{ json?: boolean }>();
    const { retry } = await import('./units.js');
    process.exitCode = await retry(await serverOf(units), { product, unit }, json ?? false);
  });
}

/** `otaflux units forget PRODUCT UNIT`: removes a unit. */
function forgetCommand(units: Command): Command {
  const command = new CliCommand('forget')
    .summary('Forget a unit, with the Mender key that was accepted for it.')
    .description(
      'Forgets what a unit has reported, and the key of a Mender device that was accepted on first use. The unit is new at its next request. Use it for a unit that is out of service, or whose board was replaced.',
    )
    .argument('<product>', 'Device id, such as esp32.')
    .argument('<unit>', 'The unit.')
    .withExamples({ does: 'Forget the unit gw-0815', call: 'otaflux units forget gateway gw-0815' })
    .withExitCodes({ ...ANSWERED, 1: 'The server knows no such unit.' });
  return withServer(command).action(async (product: string, unit: string) => {
    const { json } = units.opts<{ json?: boolean }>();
    const { forget } = await import('./units.js');
    process.exitCode = await forget(await serverOf(units), { product, unit }, json ?? false);
  });
}
