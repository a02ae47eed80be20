import { Command } from 'commander';
import { gather, parseOption, type ListenAddress, type Variable } from '../config/index.js';
import type { ControlledServer } from './control.js';
import { addFlags, givenFlags } from './flags.js';

const VARIABLES: Variable[] = ['METRICS_LISTEN_ADDR', 'MANAGEMENT_TOKEN'];

/** `otaflux status`: what a running server knows. */
export function statusCommand(): Command {
  const command = new Command('status')
    .description('Show devices, versions, freshness and pending notices of a running server.')
    .argument('[device]', 'only this device');
  return withServer(command).action(async (device: string | undefined) => {
    const { json } = command.opts<{ json?: boolean }>();
    const { status } = await import('./control.js');
    process.exitCode = await status(await serverOf(command), device, json ?? false);
  });
}

/** `otaflux health`: the probe for a container's HEALTHCHECK, which has no curl. */
export function healthCommand(): Command {
  const command = new Command('health')
    .description('Tell by the exit code whether a running server is ready.')
    .option('--registry', 'also fail while the registry cannot be used, and print why');
  return withServer(command).action(async () => {
    const { json, registry } = command.opts<{ json?: boolean; registry?: boolean }>();
    const { health, registryHealth } = await import('./control.js');
    process.exitCode = await (registry ? registryHealth : health)(await serverOf(command), json ?? false);
  });
}

/** `otaflux notify DEVICE`: tells its current release again. */
export function notifyCommand(): Command {
  const command = new Command('notify')
    .description('Have a running server tell the current release of a device again.')
    .argument('<device>', 'the device id');
  return withServer(command).action(async (device: string) => {
    const { json } = command.opts<{ json?: boolean }>();
    const { notify } = await import('./control.js');
    process.exitCode = await notify(await serverOf(command), device, json ?? false);
  });
}

function withServer(command: Command): Command {
  command
    .option(
      '--url <url>',
      'management address of the server (default: where METRICS_LISTEN_ADDR listens, on this machine)',
    )
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nExit code: 0 done, 1 no such release or not confirmed, 2 wrong use, 3 the server could not be asked.',
    );
  return addFlags(command, VARIABLES);
}

/** Where the server is and what it wants to be shown: the same settings that it has itself, as in `kubectl exec`. */
async function serverOf(command: Command): Promise<ControlledServer> {
  const given = await gather({ flags: givenFlags(command), environment: process.env });
  const { url } = command.opts<{ url?: string }>();
  return {
    url: url ?? localUrl(parseOption('METRICS_LISTEN_ADDR', given) as ListenAddress),
    token: (parseOption('MANAGEMENT_TOKEN', given) as string[] | undefined)?.[0],
  };
}

/** Listening everywhere includes this machine. */
function localUrl({ host, port }: ListenAddress): string {
  const local = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${local.includes(':') ? `[${local}]` : local}:${port}`;
}
