import type { Command } from 'commander';
import { gather, parseSettings } from '../config/index.js';
import { CliCommand } from './cli-command.js';
import { addFlags, givenFlags } from './flags.js';
import { VERIFY_VARIABLES } from './verify-command.js';

/** `otaflux delete DEVICE VERSION`: takes a version back. */
export function deleteCommand(): Command {
  const command = new CliCommand('delete')
    .summary('Delete a version of a device from the registry.')
    .description(
      'Deletes all tags of a version from the registry, and prints the version that devices get next. The stored firmware stays until the registry removes what has no tag.',
    )
    .argument('<device>', 'Device id.')
    .argument('<version>', 'Semantic version, such as 1.2.3. It also finds the tags v1.2.3 and, for +, those with _.')
    .option('-y, --yes', 'Delete without a question. Required where there is no terminal.')
    .withExamples({
      does: 'Withdraw a bad version',
      call: 'otaflux delete esp32 1.1.0 --registry-url oci:./registry',
    })
    .withExitCodes({
      0: 'The version is deleted.',
      1: 'The version does not exist, you answered no, or the registry refused or could not be reached.',
      2: 'An argument or an option is wrong, or --yes is missing where there is no terminal.',
    });
  return addFlags(command, [...VERIFY_VARIABLES, 'MAX_FIRMWARE_SIZE']).action(
    async (device: string, version: string) => {
      const settings = parseSettings(await gather({ flags: givenFlags(command), environment: process.env }));
      const { deleteVersion } = await import('./delete.js');
      process.exitCode = await deleteVersion(settings, device, version, command.opts<{ yes?: boolean }>().yes ?? false);
    },
  );
}
