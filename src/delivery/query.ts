import { isRepositoryName } from '../oci/index.js';
import { invalidDevice, missingDevice } from './answers.js';

/**
 * The value of `name` in a query, or undefined. Devices do not encode it, browsers and proxies may: `%2F` is a slash,
 * but `+` stays what it is, because versions hold it and no id holds a space.
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
    // No valid id or version holds a percent sign, so it is refused as it stands.
    return value;
  }
}

/** The device that a query names; throws the DeviceRefusal for one that is missing or cannot be a repository. */
export function deviceIn(query: string): string {
  const device = parameter(query, 'device');
  if (!device) throw missingDevice();
  if (!isRepositoryName(device)) throw invalidDevice(device);
  return device;
}
