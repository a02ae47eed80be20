#!/usr/bin/env node
import { existsSync } from 'node:fs';
import type * as commandLine from './cli/run.js';

/** What `npm run build` makes of `cli/run.js` and all that it loads (decision 41). */
const BUNDLE = new URL('./bundle/run.js', import.meta.url);

// As `otaflux list esp32 | head` does: whoever has closed the pipe wants no more.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  // Loaded only here, because the bundle has a copy of it.
  void import('./system-errors.js').then(({ wordsFor }) => {
    process.stderr.write(`otaflux: cannot write to standard output: ${wordsFor(error.code ?? '') ?? error.message}\n`);
    process.exit(1);
  });
});

const { run } = (await import(existsSync(BUNDLE) ? BUNDLE.href : './cli/run.js')) as typeof commandLine;
process.exitCode = await run(process.argv.slice(2));
