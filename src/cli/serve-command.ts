import { Command } from 'commander';
import type { OwnParts } from '../app.module.js';
import { gather, parseSettings, VARIABLES, type GivenValues, type Settings } from '../config/index.js';
import { addFlags, givenFlags } from './flags.js';

/** `otaflux serve`, which also runs when no command is given. */
export function serveCommand(): Command {
  const command = new Command('serve').description('Serve devices (the default).');
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
