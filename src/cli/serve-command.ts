import type { Command } from 'commander';
import type { OwnParts } from '../app.module.js';
import { gather, parseSettings, VARIABLES, type GivenValues, type Settings } from '../config/index.js';
import { CliCommand } from './cli-command.js';
import { addFlags, givenFlags } from './flags.js';

/** `otaflux serve`, which also runs when no command is given. */
export function serveCommand(): Command {
  const command = new CliCommand('serve')
    .summary('Start the server. This is the default command.')
    .description(
      'Starts the server: answers devices on LISTEN_ADDR, and operators on METRICS_LISTEN_ADDR. Without a command, otaflux runs serve. ' +
        'Each option can also be an environment variable, whose name follows its text in parentheses, or a key in a YAML file.',
    )
    .withExamples(
      { does: 'Serve a folder', call: 'otaflux --registry-url oci:./registry' },
      {
        does: 'Serve a registry, and only releases that a key has signed',
        call: 'otaflux --registry-url https://harbor.example.com --repository-prefix firmware --cosign-pub-key-path cosign.pub',
      },
      { does: 'Serve with options from a file', call: 'otaflux --config otaflux.yaml' },
    )
    .withExitCodes({
      0: 'The server was stopped by SIGTERM or SIGINT.',
      1: 'The server could not start.',
      2: 'An option, a value or a file is wrong.',
      130: 'A second SIGINT ended the server at once. With a second SIGTERM: 143.',
    });
  return addFlags(command, VARIABLES).action(async () => {
    const startedMs = performance.now();
    const given = await gather({ flags: givenFlags(command), environment: process.env });
    const { parts, settings } = await prepared(given);
    const { serve } = await import('./serve.js');
    await serve({ given, settings, parts, startedMs });
  });
}

async function prepared(given: GivenValues): Promise<{ parts: OwnParts; settings: Settings }> {
  if (!given.PLUGIN) return { parts: {}, settings: parseSettings(given) };
  const { withPlugins } = await import('./plugins.js');
  return withPlugins(given);
}
