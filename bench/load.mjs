import { execFileSync, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';

const CONNECTIONS = 32;
export const hasWrk = spawnSync('wrk', ['-v']).error === undefined;

/** Requests a second that `url` answers, asked for `seconds` over 32 connections. Redirects and 304 are no errors. */
export async function requestsPerSecond(url, seconds, headers = {}) {
  if (hasWrk) {
    const lines = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
    const out = execFileSync('wrk', ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, ...lines, url], { encoding: 'utf8' });
    const bad = /Non-2xx or 3xx responses: (\d+)/.exec(out)?.[1];
    if (bad) throw new Error(`${bad} answers of ${url} were errors`);
    return Number(/Requests\/sec:\s+([\d.]+)/.exec(out)[1]);
  }
  const result = await autocannon()({ url, connections: CONNECTIONS, duration: seconds, headers });
  const bad = result['4xx'] + result['5xx'];
  if (bad > 0) throw new Error(`${bad} answers of ${url} were errors`);
  return result.requests.total / result.duration;
}

export function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** From the packages of tools/, which a plain `npm ci` leaves out. */
function autocannon() {
  try {
    return createRequire(new URL('../tools/package.json', import.meta.url))('autocannon');
  } catch {
    throw new Error('The benchmark needs wrk or autocannon. Run: npm ci --prefix tools');
  }
}
