/**
 * Loaded by `node --import`: writes every module that the process loads from a file, and what the process used, to the
 * file that LOADING_TRACE names.
 */
import { appendFileSync } from 'node:fs';
import { register } from 'node:module';
import { isMainThread } from 'node:worker_threads';

const { LOADING_TRACE } = process.env;

/** The hooks run in a thread of their own, which imports this very file. */
export async function load(url, context, nextLoad) {
  if (url.startsWith('file:')) appendFileSync(LOADING_TRACE, `${url}\n`);
  return nextLoad(url, context);
}

if (isMainThread) {
  if (process.env.LOADING_TRACE_MODULES) register(import.meta.url);
  process.on('exit', () => {
    const { user, system } = process.cpuUsage();
    const maxRssKiB = process.resourceUsage().maxRSS;
    appendFileSync(LOADING_TRACE, `${JSON.stringify({ cpuMs: (user + system) / 1000, maxRssKiB })}\n`);
  });
}
