import { isRepositoryName } from '../oci/index.js';
import { CHANNELS } from './notifier.js';

/** Semantic version 2.0.0, as in releases (semver.org, "Backus–Naur Form Grammar"). */
const VERSION = /^(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z.-]+)?$/;
/** The name of a channel in a plan. */
const CHANNEL = /^[A-Za-z0-9][\w.-]{0,63}$/;
/** Longer than any notice: a version is a tag, which has at most 128 characters. */
const MAX_PAYLOAD_LENGTH = 256;

/** A channel of the plan of a device. */
export interface ChannelName {
  readonly device: string;
  readonly channel: string;
}

/**
 * The last payload of each device, as a broker or a file keeps it. Others may write there too: devices below the topic
 * of their product, or anybody who may publish. So every entry is checked here, and only here: its name must be a
 * device id, or that of a channel, and its payload must be one that `payloadOf` writes, byte for byte. Any other entry belongs to somebody
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
   * Notes an entry. It replaces an earlier entry of the same name. An empty payload means that there is no release.
   *
   * @param name undefined for a name that no notice has
   */
  note(name: string | undefined, payload: string): void {
    const channel = name === undefined ? undefined : channelIn(name);
    if (name === undefined || (!channel && !isRepositoryName(name))) {
      this.foreignCount++;
      return;
    }
    this.notices.delete(name);
    if (payload === '') return;
    if (isOurs(payload, channel !== undefined, isRepositoryName(name))) this.notices.set(name, payload);
    else this.foreignCount++;
  }

  get(name: string): string | undefined {
    return this.notices.get(name);
  }

  /** Devices and channels with a message. */
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

/** Returns the device and the channel in the name of a notice about a channel, otherwise undefined. */
export function channelIn(name: string): ChannelName | undefined {
  const at = name.lastIndexOf(CHANNELS);
  if (at < 0) return undefined;
  const [device, channel] = [name.slice(0, at), name.slice(at + CHANNELS.length)];
  return isRepositoryName(device) && CHANNEL.test(channel) ? { device, channel } : undefined;
}

/** Returns whether `payload` of a message about a channel has the share of its units. */
export function isAboutChannel(payload: string): boolean {
  return payload.includes('"percent":');
}

/** Returns whether `payload` is one that `payloadOf` writes, for a channel, a device, or either of them. */
function isOurs(payload: string, mayBeChannel: boolean, mayBeDevice: boolean): boolean {
  if (payload.length > MAX_PAYLOAD_LENGTH) return false;
  try {
    const { version, size, percent } = JSON.parse(payload) as Record<'version' | 'size' | 'percent', unknown>;
    if (typeof version !== 'string' || !VERSION.test(version)) return false;
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return false;
    if (percent === undefined) return mayBeDevice && JSON.stringify({ version, size }) === payload;
    if (!mayBeChannel || typeof percent !== 'number' || !(percent >= 0 && percent <= 100)) return false;
    return JSON.stringify({ version, size, percent }) === payload;
  } catch {
    return false;
  }
}
