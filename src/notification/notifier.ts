import { NEVER, type Observable } from 'rxjs';

/** What subscribers are told of a device. */
export interface ReleaseNotice {
  readonly device: string;
  /** What it should run now; undefined when there is nothing any more. */
  readonly release: { readonly version: string; readonly sizeBytes: number } | undefined;
}

/** Returns the payload of a notice, as every broker carries it: `{"version":"1.2.3","size":123}`, and an empty text when there is no release. */
export function payloadOf({ release }: ReleaseNotice): string {
  return release ? JSON.stringify({ version: release.version, size: release.sizeBytes }) : '';
}

/** Why a notice was not taken, by one that says how long to wait. */
export class NotNow extends Error {
  constructor(
    message: string,
    readonly waitMs: number,
  ) {
    super(message);
    this.name = 'NotNow';
  }
}

/** Why a notice can never be handed over as it is: it is given up, and the connection goes on. */
export class Undeliverable extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Undeliverable';
  }
}

/**
 * Tells subscribers of new releases. It may fail and be slow: the newest notice of each device waits until it is
 * confirmed, and is handed over again. Being an abstract class, it is also the base of those that a platform team adds.
 *
 * @publicApi
 */
export abstract class Notifier {
  /** Its name in metrics and logs: letters, digits, `.`, `_` and `-`. */
  abstract readonly name: string;
  /** The name of its file in STATE_DIR, where `open` tells of nothing; another receiver has another. */
  get memory(): string {
    return this.name;
  }
  /** How many notices it is handed at once, of different devices. */
  readonly concurrency: number = 32;
  /** Hands over a notice; resolves when it is confirmed, rejects when it has to be handed over again. */
  abstract publish(notice: ReleaseNotice, signal: AbortSignal): Promise<void>;
  /**
   * Called before the first notice, and again after the connection was lost. Resolves to the payload that each device
   * was last told, where the other side keeps it; rejects when it cannot be reached. What it resolves to is checked:
   * what is no device id, or no payload of a notice, is taken for somebody else's message and left alone.
   */
  open(_signal: AbortSignal): Promise<Iterable<readonly [string, string]> | undefined> {
    return Promise.resolve(undefined);
  }
  /** Tells that the connection was lost. */
  get lost(): Observable<void> {
    return NEVER;
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}
