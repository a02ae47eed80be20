import type { Command } from 'commander';
import { gather, parseSettings } from '../config/index.js';
import { ConfigError } from '../errors.js';
import { CliCommand } from './cli-command.js';
import { addFlags, givenFlags } from './flags.js';
import { VERIFY_VARIABLES } from './verify-command.js';

/** `otaflux list DEVICE`: the versions in the registry, and which of them devices get. */
export function listCommand(): Command {
  const command = new CliCommand('list')
    .summary('List the versions of a device, and mark the current one.')
    .description(
      'Lists the versions of a device in the registry, newest first. An arrow marks the version that devices get. The note says why the server skips a version.',
    )
    .argument('<device>', 'Device id.')
    .option('--limit <count>', 'Number of versions to list, newest first. 0 lists all. Default: 20.', countOf, 20)
    .option('--json', 'Print the result as JSON.')
    .withExamples(
      { does: 'List the versions in a folder', call: 'otaflux list esp32 --registry-url oci:./registry' },
      {
        does: 'See who signed them',
        call: 'otaflux list esp32 --registry-url https://harbor.example.com --cosign-pub-key-path cosign.pub',
      },
    )
    .withExitCodes({
      0: 'Devices get one of the versions.',
      1: 'Devices get no version.',
      2: 'An argument or an option is wrong.',
      3: 'The registry could not be reached, or refused the request; or the server would refuse the plan.',
    });
  return addFlags(command, [...VERIFY_VARIABLES, 'MAX_FIRMWARE_SIZE']).action(async (device: string) => {
    const settings = parseSettings(await gather({ flags: givenFlags(command), environment: process.env }));
    const { list } = await import('./list.js');
    process.exitCode = await list(settings, device, command.opts<{ limit: number; json?: boolean }>());
  });
}

function countOf(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new ConfigError(`--limit: got ${JSON.stringify(text)}, expected a whole number, such as 20, or 0 for all`);
}
