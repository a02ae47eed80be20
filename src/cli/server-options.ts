import type { Command } from 'commander';
import { gather, parseOption, type ListenAddress, type Variable } from '../config/index.js';
import type { ControlledServer } from './server-request.js';
import { addFlags, givenFlags } from './flags.js';

const VARIABLES: Variable[] = ['METRICS_LISTEN_ADDR', 'MANAGEMENT_TOKEN'];

/** The exit codes of commands that ask a server. */
export const ANSWERED = {
  0: 'Done.',
  2: 'An argument or an option is wrong.',
  3: 'The server could not be reached, or refused the request.',
};

/** Adds the options that say which server is asked, and how it answers. */
export function withServer(command: Command): Command {
  command
    .option('--url <url>', 'URL of the management port. Default: the port of METRICS_LISTEN_ADDR on this machine.')
    .option('--json', 'Print the result as JSON.');
  return addFlags(command, VARIABLES);
}

/** Where the server is and what it wants to be shown: the same settings that it has itself, as in `kubectl exec`. */
export async function serverOf(command: Command): Promise<ControlledServer> {
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
