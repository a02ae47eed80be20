import type { Command } from 'commander';
import { existsSync } from 'node:fs';
import type { OwnParts } from '../app.module.js';
import { gather, parseSettings, VARIABLES, type GivenValues, type Settings } from '../config/index.js';
import { CliCommand } from './cli-command.js';
import { addFlags, givenFlags } from './flags.js';
import type * as serveModule from './serve.js';

type ServeModule = typeof serveModule;

/** What `npm run build` makes of `serve.js` and all that every start needs (decision 41). */
const BUNDLE = new URL('../bundle/serve.js', import.meta.url);

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
    const { parts, settings, module } = await prepared(given);
    const { serve } = await module;
    await serve({ given, settings, parts, startedMs });
  });
}

interface Prepared {
  readonly parts: OwnParts;
  readonly settings: Settings;
  readonly module: Promise<ServeModule>;
}

/**
 * The service comes from the bundle, except with plug-ins: what a plug-in imports from `otaflux` and `@nestjs/common`
 * must be the same modules that the service runs on.
 */
async function prepared(given: GivenValues): Promise<Prepared> {
  if (given.PLUGIN) {
    const { withPlugins } = await import('./plugins.js');
    return { ...(await withPlugins(given)), module: import('./serve.js') };
  }
  const settings = parseSettings(given);
  const module = existsSync(BUNDLE) ? (import(BUNDLE.href) as Promise<ServeModule>) : import('./serve.js');
  return { parts: {}, settings, module };
}
