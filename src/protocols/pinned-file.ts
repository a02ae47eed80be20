import { noFirmware, parameter, type Delivery, type DeviceRequest, type Links } from '../delivery/index.js';
import type { Release } from '../firmware/index.js';
import type { Ask } from './ask.js';
import { decoded } from './in-path.js';

/** Hex digits of the SHA-256 in a link: enough that no two releases share them. */
const DIGITS = 16;
/** A range that begins after the first byte: the rest of a download that has begun. */
const REST = /^bytes=0*[1-9]/i;

/** The path of a file of one release: its product and its version, as they were sent. */
export interface PinnedFile {
  readonly product: string;
  readonly version: string;
}

/**
 * Returns the path of a file of `release`, such as `/rauc/gateway/1.2.0.raucb?sha256=3f2a…`. It names the version and the
 * content, so a client that downloads in parts never gets parts of two releases. It carries a signature if access is
 * restricted.
 *
 * @param content query that names the content. Default: the firmware
 */
export function pinnedPath(
  { device, version, firmware }: Release,
  { folder, suffix }: PinnedRoute,
  { unit }: Ask,
  links: Links,
  content = `sha256=${firmware.sha256.slice(0, DIGITS)}`,
): string {
  const query = unit === undefined ? content : `${content}&unit=${encodeURIComponent(unit)}`;
  return links.signed(`${folder}${device}/${encodeURIComponent(version)}${suffix}?${query}`, { product: device, unit });
}

/** Where a protocol serves files of releases. */
export interface PinnedRoute {
  /** Begins and ends with a slash. */
  readonly folder: string;
  /** End of the name of a file, with its dot. */
  readonly suffix: string;
}

/** Returns the product and the version in a path below `folder` that ends with `suffix`, otherwise undefined. */
export function pinnedIn(path: string, { folder, suffix }: PinnedRoute): PinnedFile | undefined {
  if (!path.startsWith(folder) || !path.endsWith(suffix)) return undefined;
  const slash = path.lastIndexOf('/');
  if (slash < folder.length) return undefined;
  return { product: path.slice(folder.length, slash), version: path.slice(slash + 1, -suffix.length) };
}

/**
 * Returns the release of a request for a pinned file. Throws or rejects with the DeviceRefusal 404 if the version has
 * another content now, because its tag was moved.
 */
export function pinnedRelease(delivery: Delivery, product: string, request: DeviceRequest): Release | Promise<Release> {
  const release = delivery.wanted(product, request, decoded(request.params.version ?? ''));
  const check = (found: Release): Release => {
    const digits = parameter(request.query, 'sha256');
    if (digits !== undefined && !found.firmware.sha256.startsWith(digits.toLowerCase())) throw noFirmware(product);
    // The rest is delivered even if no further download may start now, and it stays available meanwhile.
    if (REST.test(request.raw.headers.range ?? '')) delivery.offer(found, request);
    return found;
  };
  return release instanceof Promise ? release.then(check) : check(release);
}
