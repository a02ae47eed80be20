import { NEVER, type Observable } from 'rxjs';

/** A message for subscribers about a device, or about a channel of its plan. */
export interface ReleaseNotice {
  readonly device: string;
  /** The channel of the plan. Undefined: the notice is about the release that everybody is offered. */
  readonly channel?: string | undefined;
  /** The current release; undefined if there is none any more. */
  readonly release: NoticedRelease | undefined;
}

/** A release in a notice. */
export interface NoticedRelease {
  readonly version: string;
  readonly sizeBytes: number;
  /** Share of the channel's units that are offered it, 0 to 100. Only in notices about a channel. */
  readonly percent?: number | undefined;
}

/**
 * Returns the payload of a notice for every broker: `{"version":"1.2.3","size":123}`, for a channel
 * `{"version":"1.2.3","size":123,"percent":10}`, or an empty text if there is no release.
 */
export function payloadOf({ release, channel }: ReleaseNotice): string {
  if (!release) return '';
  const { version, sizeBytes: size, percent = 100 } = release;
  return JSON.stringify(channel === undefined ? { version, size } : { version, size, percent });
}

/** Returns the name of a notice, which topics and keys contain: the device, or `DEVICE/channels/CHANNEL`. */
export function nameOf({ device, channel }: ReleaseNotice): string {
  return channel === undefined ? device : `${device}${CHANNELS}${channel}`;
}

/** Between device and channel in the name of a notice. */
export const CHANNELS = '/channels/';

/** The receiver did not accept a notice, and asks to wait for `waitMs` milliseconds. */
export class NotNow extends Error {
  constructor(
    message: string,
    readonly waitMs: number,
  ) {
    super(message);
    this.name = 'NotNow';
  }
}

/** A notice can never be delivered in its form. It is dropped, and the connection stays open. */
export class Undeliverable extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Undeliverable';
  }
}

/**
 * Sends new releases to subscribers. It may fail and be slow: the newest notice of each device waits until it is
 * confirmed, and is passed again after a failure. Extend this abstract class for your own notifier.
 *
 * @publicApi
 */
export abstract class Notifier {
  /** Its name in metrics and logs: letters, digits, `.`, `_` and `-`. */
  abstract readonly name: string;
  /**
   * Name of its file in STATE_DIR, which is used if `open` resolves to undefined. Must be different for each receiver.
   */
  get memory(): string {
    return this.name;
  }
  /** Maximum number of notices that it receives at once. They are about different devices. */
  readonly concurrency: number = 32;
  /**
   * Whether it keeps a connection: then it counts as connected after `open`, otherwise while the receiver has confirmed
   * its last message. By default, a notifier that overrides `open` keeps a connection.
   */
  get hasConnection(): boolean {
    return this.open !== Notifier.prototype.open;
  }
  /** Whether it sends notices about channels of plans, too. By default, a notifier only gets those about devices. */
  readonly sendsChannels: boolean = false;
  /** Sends a notice. Resolves when it is confirmed. Rejects if it has to be sent again. */
  abstract publish(notice: ReleaseNotice, signal: AbortSignal): Promise<void>;
  /**
   * Connects. Called before the first notice, and again after the connection was lost. Resolves to the last payload of
   * each device, if the receiver keeps them, otherwise to undefined. Rejects if the receiver cannot be reached. The
   * result is checked: an entry whose name is not a device id, or whose payload is not that of a notice, belongs to
   * somebody else and is ignored.
   */
  open(_signal: AbortSignal): Promise<Iterable<readonly [string, string]> | undefined> {
    return Promise.resolve(undefined);
  }
  /** Emits when the connection was lost. */
  get lost(): Observable<void> {
    return NEVER;
  }
  /** Closes the connection. Called once, when the service ends. */
  close(): Promise<void> {
    return Promise.resolve();
  }
}
