import { Option as Flag, type Command } from 'commander';
import { gather, parseSettings } from '../config/index.js';
import { CliCommand } from './cli-command.js';
import { addFlags, givenFlags, SERVED_VARIABLES, wholeNumber } from './flags.js';
import type { ListOptions } from './list.js';

const MAX_LIMIT = 10_000;

/** `otaflux list DEVICE`: the versions of a device, and which of them devices get. */
export function listCommand(): Command {
  const command = new CliCommand('list')
    .summary('List the versions of a device.')
    .description(
      'Lists the versions of a device in the registry, the newest first: when they were made, their size, who signed them, which one devices get (→), and why a version is skipped. Does not download firmware.',
    )
    .argument('<device>', 'Device id.')
    .addOption(
      new Flag('--limit <n>', 'Maximum number of versions. Default: 20.')
        .default(20)
        .argParser(wholeNumber('--limit', 1, MAX_LIMIT)),
    )
    .option('--json', 'Print the result as JSON.')
    .withExamples(
      { does: 'List the versions in a folder', call: 'otaflux list esp32 --registry-url oci:./registry' },
      {
        does: 'See who signed each version',
        call: 'otaflux list esp32 --registry-url https://harbor.example.com --cosign-pub-key-path cosign.pub',
      },
    )
    .withExitCodes({
      0: 'The versions are listed.',
      1: 'The device has no version.',
      2: 'An argument or an option is wrong.',
      3: 'The registry could not be asked.',
    });
  return addFlags(command, SERVED_VARIABLES).action(async (device: string) => {
    const settings = parseSettings(await gather({ flags: givenFlags(command), environment: process.env }));
    const { limit, json = false } = command.opts<Partial<ListOptions> & { limit: number }>();
    const { list } = await import('./list.js');
    process.exitCode = await list(settings, device, { limit, json });
  });
}
