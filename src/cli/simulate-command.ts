import type { Command } from 'commander';
import { CliCommand } from './cli-command.js';
import type { SimulateFlags } from './simulate.js';

/** `otaflux simulate PLAN`: draws the course of a plan. */
export function simulateCommand(): Command {
  const command = new CliCommand('simulate')
    .summary('Draw the course of a plan, with failing and silent units.')
    .description(
      'Draws how the rollouts of a plan go: how many units are offered a version and run it, day by day, and when a rollout halts. Simulated units ask at their own times, and get their answers from the code of the server. No server and no registry are needed.',
    )
    .argument('<plan>', 'File with the plan, such as plan.yaml. - reads the standard input.')
    .option('--units <number>', 'Number of units. Default: 100000.', '100000')
    .option('--days <number>', 'Number of days, from the first start of a rollout on. Default: 10.', '10')
    .option('--poll <duration>', 'How often each unit asks. Default: 15m.', '15m')
    .option(
      '--fail <share>',
      'Share of the units that fail to install a version, such as 8%. 1.5.0=8% is for one version; the option may be repeated. Default: 0%.',
      (value: string, before: readonly string[] | undefined) => [...(before ?? []), value],
    )
    .option('--silent <share>', 'Share of the units that take a release and are not heard of again. Default: 0%.', '0%')
    .option(
      '--running <version>',
      'Version that the units run at first. Default: the lowest that the rollouts start from.',
    )
    .option(
      '--releases <versions>',
      'Further versions in the registry, separated by commas. Default: those that the plan names.',
    )
    .option('--channel <name>', 'Channel that the units ask for. Default: the default channel.')
    .option(
      '--product <id>',
      'Device id. It decides which units are in which stage. Default: the one of the plan, or device.',
      '',
    )
    .option(
      '--csv <file>',
      'Write the course as CSV to this file. - writes it to the standard output, without the chart.',
    )
    .option(
      '--seed <number>',
      'Which units fail and are silent. The same number gives the same course. Default: 1.',
      '1',
    )
    .withExamples(
      { does: 'Draw a plan', call: 'otaflux simulate plan.yaml' },
      {
        does: 'See when a bad release is stopped',
        call: 'otaflux simulate plan.yaml --units 5000 --fail 1.5.0=8% --silent 5%',
      },
      { does: 'Write a table for a spreadsheet', call: 'otaflux simulate plan.yaml --csv course.csv' },
    )
    .withExitCodes({
      0: 'The course was drawn.',
      1: 'A rollout has halted.',
      2: 'The plan, an argument or an option is wrong.',
    });
  return command.action(async (file: string) => {
    const { simulateFile } = await import('./simulate.js');
    process.exitCode = await simulateFile(file, command.opts<SimulateFlags>());
  });
}
