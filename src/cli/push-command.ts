import { Option as Flag, type Command } from 'commander';
import { gather, parseSettings } from '../config/index.js';
import { ConfigError } from '../errors.js';
import { CliCommand } from './cli-command.js';
import { addFlags, givenFlags, PUSH_VARIABLES } from './flags.js';
import { withSigning } from './sign/sign-options.js';
import type { PushOptions } from './push.js';

/** `otaflux push DEVICE VERSION FILE...`: the artifact that `oras push` would write. */
export function pushCommand(): Command {
  const command = new CliCommand('push')
    .summary('Push a firmware file to the registry.')
    .description(
      'Pushes a firmware file to the registry, in the form in which oras push stores it. Devices get further files by name: /firmware?device=DEVICE&file=NAME.',
    )
    .argument('<device>', 'Device id. The repository is --repository-prefix followed by the device id.')
    .argument('<version>', 'Semantic version, such as 1.2.3. The tag has _ in place of +.')
    .argument('<file...>', 'Firmware file, and further files of the release, such as littlefs.bin.')
    .option('--artifact-type <type>', 'Artifact type of the manifest.')
    .option(
      '--media-type <type>',
      'Media type of the firmware. Default: by the first byte of the file (0xE9 is an ESP image).',
    )
    .addOption(
      new Flag('--annotation <key=value>', 'Annotation of the manifest. May be repeated.')
        .argParser(collect)
        .default({}),
    )
    .option(
      '--force',
      'Replace a version that has other content. Push firmware that is larger than --max-firmware-size.',
    )
    .option('--json', 'Print the result as JSON.')
    .withExamples(
      { does: 'Push to a folder', call: 'otaflux push esp32 1.0.0 firmware.bin --registry-url oci:./registry' },
      {
        does: 'Push the image of a file system with the firmware',
        call: 'otaflux push esp32 1.1.0 firmware.bin littlefs.bin --registry-url oci:./registry',
      },
      {
        does: 'Push to a registry',
        call: 'otaflux push esp32 1.0.0 firmware.bin --registry-url https://harbor.example.com --registry-username robot --registry-password-file password.txt',
      },
    )
    .withExitCodes({
      0: 'The version is in the registry.',
      1: 'The registry refused it or could not be reached, or the version exists with other content.',
      2: 'An argument, an option or the file is wrong.',
    });
  return addFlags(withSigning(command), PUSH_VARIABLES).action(
    async (device: string, version: string, files: string[]) => {
      const settings = parseSettings(await gather({ flags: givenFlags(command), environment: process.env }));
      const options = command.opts<PushOptions>();
      const [{ push }, { summaryOf }] = await Promise.all([import('./push.js'), import('./push-summary.js')]);
      const result = await push(settings, device, version, files, options);
      process.stdout.write(
        options.json ? `${JSON.stringify(result.pushed)}\n` : `${summaryOf(result, device, settings).join('\n')}\n`,
      );
    },
  );
}

function collect(value: string, previous: Record<string, string>): Record<string, string> {
  const split = value.indexOf('=');
  if (split < 1) throw new ConfigError(`--annotation: got ${JSON.stringify(value)}, expected KEY=VALUE`);
  return { ...previous, [value.slice(0, split)]: value.slice(split + 1) };
}
