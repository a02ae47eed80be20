import { readFile } from 'node:fs/promises';
import { delay } from '../timers.js';

/** Linux' tables of TCP connections (proc(5)), for the network namespace of this process. */
const TABLES = ['/proc/self/net/tcp', '/proc/self/net/tcp6'];
/** `sl local_address rem_address st tx_queue:rx_queue …`, in hexadecimal. */
const ROW = /^ *\d+: [0-9A-F]+:([0-9A-F]{4}) \S+ ([0-9A-F]{2}) ([0-9A-F]{8}):/gm;
/** The queue of a listener is counted in another unit. */
const LISTEN = '0A';
const POLL_MS = 100;

/**
 * Returns the number of bytes that were written to connections on local port `port`, including closed ones, and that
 * the clients have not acknowledged. Returns 0 on systems other than Linux.
 */
export async function unacknowledgedBytes(port: number): Promise<number> {
  const tables = await Promise.all(TABLES.map((path) => readFile(path, 'latin1').catch(() => '')));
  let bytes = 0;
  for (const [, localPort, state, queued] of tables.join('').matchAll(ROW)) {
    if (parseInt(localPort ?? '', 16) !== port || state === LISTEN) continue;
    // The end of a connection counts as one byte. A device that was switched off never acknowledges it.
    bytes += Math.max(parseInt(queued ?? '', 16) - 1, 0);
  }
  return bytes;
}

/**
 * Resolves when the clients have received everything that was written on `port`, or after `graceMs`.
 *
 * The kernel continues to send the data of a closed socket, megabytes of a download to a slow device
 * (`net.ipv4.tcp_wmem`), but only as long as the network namespace exists. A container's namespace ends with its
 * process.
 */
export async function acknowledged(port: number, graceMs: number): Promise<void> {
  const endsAtMs = performance.now() + graceMs;
  while ((await unacknowledgedBytes(port)) > 0 && performance.now() < endsAtMs)
    await delay(Math.min(POLL_MS, endsAtMs - performance.now()));
}
