import type { Command } from 'commander';
import { gather, parseSettings, VARIABLES } from '../config/index.js';
import { CliCommand } from './cli-command.js';
import { addFlags, givenFlags, REGISTRY_VARIABLES } from './flags.js';

/** The options that decide what is served, as `serve` has them. */
export const VERIFY_VARIABLES = VARIABLES.filter(
  (variable) =>
    REGISTRY_VARIABLES.includes(variable) ||
    /^(?:COSIGN|SIGSTORE|SIGNATURE)_/.test(variable) ||
    ['PRERELEASES', 'MIN_VERSION', 'FIRMWARE_FILE', 'MAX_UNVERIFIED', 'SIGNED_VERSION', 'PLAN_PUB_KEY_PATH'].includes(
      variable,
    ),
);

/** `otaflux verify DEVICE`: what the server would say of each version, and why. */
export function verifyCommand(): Command {
  const command = new CliCommand('verify')
    .summary('Check the signatures of all versions of a device.')
    .description(
      'Checks the signatures of all versions of a device by the rules of the server, and shows why it refuses one.',
    )
    .argument('<device>', 'Device id.')
    .option('--json', 'Print the result as JSON.')
    .withExamples({
      does: 'Check which versions a key has signed',
      call: 'otaflux verify esp32 --registry-url https://harbor.example.com --cosign-pub-key-path cosign.pub',
    })
    .withExitCodes({
      0: 'The server would serve a version.',
      1: 'The server would serve no version.',
      2: 'An argument or an option is wrong.',
      3: 'The registry could not be reached, or refused the request; or the server would refuse the plan.',
    });
  return addFlags(command, VERIFY_VARIABLES).action(async (device: string) => {
    const settings = parseSettings(await gather({ flags: givenFlags(command), environment: process.env }));
    const { json } = command.opts<{ json?: boolean }>();
    const { verify } = await import('./verify.js');
    process.exitCode = await verify(settings, device, json ?? false);
  });
}
