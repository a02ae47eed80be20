import { Command } from 'commander';
import { gather, parseSettings, VARIABLES } from '../config/index.js';
import { addFlags, givenFlags, REGISTRY_VARIABLES } from './flags.js';

/** The options that decide what is served, as `serve` has them. */
const VERIFY_VARIABLES = VARIABLES.filter(
  (variable) =>
    REGISTRY_VARIABLES.includes(variable) ||
    /^(?:COSIGN|SIGSTORE|SIGNATURE)_/.test(variable) ||
    ['PRERELEASES', 'MIN_VERSION', 'FIRMWARE_FILE', 'MAX_UNVERIFIED', 'SIGNED_VERSION'].includes(variable),
);

/** `otaflux verify DEVICE`: what the server would say of each version, and why. */
export function verifyCommand(): Command {
  const command = new Command('verify')
    .description('Judge the signatures of a device, as the server does.')
    .argument('<device>', 'the device id')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExit code: 0 a release would be served, 1 none would be, 2 wrong use, 3 the registry could not be asked.',
    );
  return addFlags(command, VERIFY_VARIABLES).action(async (device: string) => {
    const settings = parseSettings(await gather({ flags: givenFlags(command), environment: process.env }));
    const { json } = command.opts<{ json?: boolean }>();
    const { verify } = await import('./verify.js');
    process.exitCode = await verify(settings, device, json ?? false);
  });
}
