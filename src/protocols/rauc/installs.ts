import type { Release } from '../../firmware/index.js';
import type { Identity } from '../../identity.js';

/** Installations in progress. The oldest are forgotten first. */
const MAX_INSTALLS = 10_000;
/** RAUC reads nearly all of a bundle, in ranges of any order, and some of it twice. */
const SHARE = 0.95;

/**
 * The bytes of bundles that units receive while they install them. RAUC reads the end of a bundle first, also to look what
 * is in it, so the last byte says nothing.
 */
export class Installs {
  private readonly bytes = new Map<string, number>();

  /** Notes that a unit begins to install a release. Without a unit, does nothing. */
  begin({ product, unit }: Identity, release: Release): void {
    if (unit === undefined) return;
    const key = keyOf(product, unit, release);
    this.bytes.delete(key);
    this.bytes.set(key, 0);
    const [oldest] = this.bytes.keys();
    if (oldest !== undefined && this.bytes.size > MAX_INSTALLS) this.bytes.delete(oldest);
  }

  /** Notes bytes that were sent. Returns true once: when the unit has received the bundle that it installs. */
  received({ product, unit }: Identity, release: Release, bytes: number): boolean {
    if (unit === undefined) return false;
    const key = keyOf(product, unit, release);
    const before = this.bytes.get(key);
    if (before === undefined) return false;
    if (before + bytes < release.firmware.sizeBytes * SHARE) {
      this.bytes.set(key, before + bytes);
      return false;
    }
    this.bytes.delete(key);
    return true;
  }
}

function keyOf(product: string, unit: string, { manifestDigest }: Release): string {
  return `${product}\0${unit}\0${manifestDigest}`;
}
