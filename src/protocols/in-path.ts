import { invalidDevice } from '../delivery/index.js';
import { isRepositoryName } from '../oci/index.js';

/** Returns the product in a part of a path. Throws the DeviceRefusal 400 if it is no device id. */
export function productInPath(part: string): string {
  const product = decoded(part);
  if (!isRepositoryName(product)) throw invalidDevice(product);
  return product;
}

/** Returns `part` without percent-encoding, or as it is if that is wrong: then no name and no version is like it. */
export function decoded(part: string): string {
  if (!part.includes('%')) return part;
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
