#!/usr/bin/env node
import { existsSync } from 'node:fs';

/** What `npm run build` makes of `cli/run.js` and all that it loads (decision 41). */
const BUNDLE = new URL('./bundle/run.js', import.meta.url);

const { run } = (await import(existsSync(BUNDLE) ? BUNDLE.href : './cli/run.js')) as typeof import('./cli/run.js');
process.exitCode = await run(process.argv.slice(2));
