import type { Command } from 'commander';
import { gather, parseSettings } from '../config/index.js';
import { CliCommand } from './cli-command.js';
import { addFlags, givenFlags, SERVED_VARIABLES } from './flags.js';

/** `otaflux delete DEVICE VERSION`: removes the tag of a version. */
export function deleteCommand(): Command {
  const command = new CliCommand('delete')
    .summary('Delete a version of a device from the registry.')
    .description(
      'Deletes the tag of a version, so that servers do not offer the version any more. The content stays in the registry until the registry removes what has no tag. Some registries do not delete tags: the error then says what to do.',
    )
    .argument('<device>', 'Device id.')
    .argument('<version>', 'The version, such as 1.2.3.')
    .option('--yes', 'Do not ask for confirmation.')
    .option('--json', 'Print the result as JSON. Requires --yes.')
    .withExamples(
      { does: 'Take back a bad version', call: 'otaflux delete esp32 1.2.3 --registry-url oci:./registry' },
      { does: 'In a script', call: 'otaflux delete esp32 1.2.3 --yes --registry-url oci:./registry' },
    )
    .withExitCodes({
      0: 'The version is deleted.',
      1: 'The device has no such version, the registry refuses to delete it, or you did not confirm.',
      2: 'An argument or an option is wrong, or --yes is missing where nobody can be asked.',
      3: 'The registry could not be asked.',
    });
  return addFlags(command, SERVED_VARIABLES).action(async (device: string, version: string) => {
    const settings = parseSettings(await gather({ flags: givenFlags(command), environment: process.env }));
    const { yes = false, json = false } = command.opts<{ yes?: boolean; json?: boolean }>();
    const { deleteVersion } = await import('./delete.js');
    process.exitCode = await deleteVersion(settings, device, version, { yes, json });
  });
}
