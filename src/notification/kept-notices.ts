import { isRepositoryName } from '../oci/index.js';

/** Semantic version 2.0.0, as in releases (semver.org, "Backus–Naur Form Grammar"). */
const VERSION = /^(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z.-]+)?$/;
/** Longer than any notice: a version is a tag, which has at most 128 characters. */
const MAX_PAYLOAD_LENGTH = 256;

/**
 * The last payload of each device, as a broker or a file keeps it. Others may write there too: devices below the topic
 * of their product, or anybody who may publish. So every entry is checked here, and only here: its name must be a
 * device id, and its payload must be one that `payloadOf` writes, byte for byte. Any other entry belongs to somebody
 * else: it is counted and ignored, so that it is neither looked up in the registry, nor deleted, nor overwritten.
 */
export class KeptNotices implements Iterable<[string, string]> {
  private readonly notices = new Map<string, string>();
  private foreignCount = 0;

  /** Checks the messages that a notifier has read from its broker. */
  static of(kept: KeptNotices | Iterable<readonly [string, string]>): KeptNotices {
    if (kept instanceof KeptNotices) return kept;
    const checked = new KeptNotices();
    for (const [device, payload] of kept) checked.note(device, payload);
    return checked;
  }

  /**
   * Notes an entry. It replaces an earlier entry of the same device. An empty payload means that the device has no
   * release.
   *
   * @param device undefined for a name that is not a device id
   */
  note(device: string | undefined, payload: string): void {
    if (device === undefined || !isRepositoryName(device)) {
      this.foreignCount++;
      return;
    }
    this.notices.delete(device);
    if (payload === '') return;
    if (isOurs(payload)) this.notices.set(device, payload);
    else this.foreignCount++;
  }

  get(device: string): string | undefined {
    return this.notices.get(device);
  }

  get devices(): Iterable<string> {
    return this.notices.keys();
  }

  /** Devices with a message. */
  get size(): number {
    return this.notices.size;
  }

  /** Number of messages of others. */
  get foreign(): number {
    return this.foreignCount;
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.notices.entries();
  }
}

/** Returns whether `payload` is one that `payloadOf` writes. */
function isOurs(payload: string): boolean {
  if (payload.length > MAX_PAYLOAD_LENGTH) return false;
  try {
    const { version, size } = JSON.parse(payload) as { version?: unknown; size?: unknown };
    if (typeof version !== 'string' || !VERSION.test(version)) return false;
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return false;
    return JSON.stringify({ version, size }) === payload;
  } catch {
    return false;
  }
}
