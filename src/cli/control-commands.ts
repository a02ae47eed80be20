import type { Command } from 'commander';
import { CliCommand } from './cli-command.js';
import { ANSWERED, serverOf, withServer } from './server-options.js';

/** `otaflux status`: what a running server knows. */
export function statusCommand(): Command {
  const command = new CliCommand('status')
    .summary('Show devices, versions and problems of a running server.')
    .description('Shows the devices of a running server, their versions, pending notices, and problems.')
    .argument('[device]', 'Show only this device.')
    .withExamples({ does: 'In Kubernetes', call: 'kubectl exec service/ota-otaflux -- otaflux status' })
    .withExitCodes({ ...ANSWERED, 1: 'The server has no release for this device.' });
  return withServer(command).action(async (device: string | undefined) => {
    const { json } = command.opts<{ json?: boolean }>();
    const { status } = await import('./control.js');
    process.exitCode = await status(await serverOf(command), device, json ?? false);
  });
}

/** `otaflux health`: the probe for a container's HEALTHCHECK, which has no curl. */
export function healthCommand(): Command {
  const command = new CliCommand('health')
    .summary('Check whether a running server is ready.')
    .description('Checks whether a running server is ready. Prints nothing if it is.')
    .option('--registry', 'Fail also if the server cannot use the registry, and print the reason.')
    .withExamples({ does: 'Check also that the server reaches its registry', call: 'otaflux health --registry' })
    .withExitCodes({
      0: 'The server is ready.',
      1: 'The server is not ready or cannot be reached.',
      2: 'An option is wrong.',
    });
  return withServer(command).action(async () => {
    const { json, registry } = command.opts<{ json?: boolean; registry?: boolean }>();
    const { health, registryHealth } = await import('./control.js');
    process.exitCode = await (registry ? registryHealth : health)(await serverOf(command), json ?? false);
  });
}

/** `otaflux notify DEVICE`: announces its current release again. */
export function notifyCommand(): Command {
  const command = new CliCommand('notify')
    .summary('Announce the current version of a device again.')
    .description('Makes a running server announce the current version of a device again, to all its brokers.')
    .argument('<device>', 'Device id.')
    .withExamples({ does: 'Announce the version of esp32 again', call: 'otaflux notify esp32' })
    .withExitCodes({
      ...ANSWERED,
      1: 'The device has no release, the server has no broker, or a broker has not confirmed the message.',
    });
  return withServer(command).action(async (device: string) => {
    const { json } = command.opts<{ json?: boolean }>();
    const { notify } = await import('./control.js');
    process.exitCode = await notify(await serverOf(command), device, json ?? false);
  });
}
