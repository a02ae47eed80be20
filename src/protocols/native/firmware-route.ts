import { noFirmware } from '../../delivery/index.js';
import type { Match } from '../device-protocol.js';
import { productInPath } from '../in-path.js';

const BY_QUERY: Match = { route: '/firmware' };
const FOLDER = '/firmware/';
const SUFFIX = '.bin';

/**
 * Returns the match of a path that asks for firmware: `/firmware?device=PRODUCT`, or `/firmware/PRODUCT.bin` for clients
 * that want the name of a file. Both count as one route.
 */
export function firmwareRoute(path: string): Match | undefined {
  if (path === BY_QUERY.route) return BY_QUERY;
  return path.startsWith(FOLDER) ? { route: BY_QUERY.route, params: { file: path.slice(FOLDER.length) } } : undefined;
}

/**
 * Returns the product in the name of a file. Throws a DeviceRefusal: 404 for a name without `.bin` at its end, such as the
 * `.bin.gz` that Tasmota tries, and 400 if the rest is no device id.
 */
export function productOfFile(file: string): string {
  if (!file.endsWith(SUFFIX)) throw noFirmware(undefined);
  return productInPath(file.slice(0, -SUFFIX.length));
}
