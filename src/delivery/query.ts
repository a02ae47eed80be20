import { isRepositoryName } from '../oci/index.js';
import { invalidDevice, missingDevice } from './answers.js';

/**
 * Returns the value of `name` in a query, or undefined. Devices do not encode it. Browsers and proxies may: `%2F` is a
 * slash, but `+` stays `+`, because versions contain it and no id contains a space.
 */
export function parameter(query: string, name: string): string | undefined {
  for (let start = 0; start < query.length;) {
    const next = query.indexOf('&', start);
    const end = next === -1 ? query.length : next;
    if (query.startsWith(name, start) && query.charCodeAt(start + name.length) === 0x3d) {
      return decoded(query.slice(start + name.length + 1, end));
    }
    start = end + 1;
  }
  return undefined;
}

function decoded(value: string): string {
  if (!value.includes('%')) return value;
  try {
    return decodeURIComponent(value);
  } catch {
    // No valid id or version contains a percent sign, so the value is refused later.
    return value;
  }
}

/** Returns the device in a query. Throws a DeviceRefusal if it is missing or is not a repository name. */
export function deviceIn(query: string): string {
  const device = parameter(query, 'device');
  if (!device) throw missingDevice();
  if (!isRepositoryName(device)) throw invalidDevice(device);
  return device;
}
