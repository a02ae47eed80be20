import type { Release } from '../../firmware/index.js';
import { isRepositoryName } from '../../oci/index.js';

/** Number of hex digits of the manifest digest in an id. */
const DIGITS = 32;
const ID = /^([0-9a-f]{32})-([a-z0-9_~-]+)$/;

/** The release that a deployment is about. */
export interface Deployment {
  readonly product: string;
  /** The beginning of the hex digits of the manifest digest. */
  readonly digits: string;
}

/**
 * Returns the id of the deployment of `release`. It names product and release, so that nothing has to be remembered. It
 * becomes the name of a log file on the device, between dots, so that it contains no dot and no slash.
 */
export function deploymentId({ device, manifestDigest }: Pick<Release, 'device' | 'manifestDigest'>): string {
  return `${digitsOf(manifestDigest)}-${device.replaceAll('/', '~1').replaceAll('.', '~0')}`;
}

/** Returns the deployment with this id, or undefined. */
export function parseDeployment(id: string): Deployment | undefined {
  const [, digits = '', name = ''] = ID.exec(id) ?? [];
  const product = name.replaceAll('~1', '/').replaceAll('~0', '.');
  return isRepositoryName(product) ? { product, digits } : undefined;
}

/** Returns whether `digest` is that of the deployment's manifest. */
export function isManifestOf({ digits }: Deployment, digest: string | undefined): boolean {
  return digest !== undefined && digitsOf(digest) === digits;
}

function digitsOf(digest: string): string {
  return digest.slice(digest.indexOf(':') + 1).slice(0, DIGITS);
}
