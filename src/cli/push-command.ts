import { Command, Option as Flag } from 'commander';
import { gather, parseSettings } from '../config/index.js';
import { ConfigError } from '../errors.js';
import { addFlags, givenFlags, PUSH_VARIABLES } from './flags.js';
import type { PushOptions } from './push.js';

/** `otaflux push DEVICE VERSION FILE`: the artifact that `oras push` would write. */
export function pushCommand(): Command {
  const command = new Command('push')
    .description('Push a firmware file, as `oras push` would.')
    .argument('<device>', 'the device id, which is the repository behind --repository-prefix')
    .argument('<version>', 'a semantic version; + is stored as _')
    .argument('<file>', 'the firmware')
    .option('--artifact-type <type>', 'artifact type of the manifest')
    .option('--media-type <type>', 'media type of the layer (default: by the first byte, 0xE9 is an ESP image)')
    .addOption(
      new Flag('--annotation <key=value>', 'annotation of the manifest, may be repeated')
        .argParser(collect)
        .default({}, 'none'),
    )
    .option('--force', 'replace a version that has other bytes; push firmware that is larger than --max-firmware-size')
    .option('--json', 'print the result as JSON');
  return addFlags(command, PUSH_VARIABLES).action(async (device: string, version: string, file: string) => {
    const settings = parseSettings(await gather({ flags: givenFlags(command), environment: process.env }));
    const options = command.opts<PushOptions>();
    const [{ push }, { summaryOf }] = await Promise.all([import('./push.js'), import('./push-summary.js')]);
    const result = await push(settings, device, version, file, options);
    process.stdout.write(
      options.json ? `${JSON.stringify(result.pushed)}\n` : `${summaryOf(result, device, settings).join('\n')}\n`,
    );
  });
}

function collect(value: string, previous: Record<string, string>): Record<string, string> {
  const split = value.indexOf('=');
  if (split < 1) throw new ConfigError(`--annotation: got ${JSON.stringify(value)}, expected KEY=VALUE`);
  return { ...previous, [value.slice(0, split)]: value.slice(split + 1) };
}
