import { isRepositoryName } from '../oci/index.js';

/** Semantic version 2.0.0, as releases have it (semver.org, "Backus–Naur Form Grammar"). */
const VERSION = /^(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z.-]+)?$/;
/** Longer than any notice: a version is a tag, which has 128 characters at most. */
const MAX_PAYLOAD_LENGTH = 256;

/**
 * The payload that each device was last told, as a broker or a file keeps it. Others write there, too: devices beneath
 * the topic of their product, or anybody who may publish. So every entry is checked here, and only here: its name must
 * be a device id, and its payload one that we write, byte for byte. Whatever else is there is not ours: it is counted
 * and forgotten, so that it is neither asked of the registry, nor deleted, nor overwritten.
 */
export class KeptNotices implements Iterable<[string, string]> {
  private readonly notices = new Map<string, string>();
  private foreignCount = 0;

  /** What a notifier says that its broker keeps; checked again where it comes from elsewhere. */
  static of(kept: KeptNotices | Iterable<readonly [string, string]>): KeptNotices {
    if (kept instanceof KeptNotices) return kept;
    const checked = new KeptNotices();
    for (const [device, payload] of kept) checked.note(device, payload);
    return checked;
  }

  /**
   * Notes what stands in the place of `device`, where it takes the place of what was noted before. An empty payload says
   * that the device has no release.
   *
   * @param device undefined for a name that stands for no device
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

  /** Devices that were told something. */
  get size(): number {
    return this.notices.size;
  }

  /** Messages that are not ours. */
  get foreign(): number {
    return this.foreignCount;
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.notices.entries();
  }
}

/** Whether `payload` is one that `payloadOf` writes. */
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
