import { NEVER, type Observable } from 'rxjs';

/** What subscribers are told of a device. */
export interface ReleaseNotice {
  readonly device: string;
  /** What it should run now; undefined when there is nothing any more. */
  readonly release: { readonly version: string; readonly sizeBytes: number } | undefined;
}

/** What a notice says, as every broker carries it: `{"version":"1.2.3","size":123}`, and nothing for no release. */
export function payloadOf({ release }: ReleaseNotice): string {
  return release ? JSON.stringify({ version: release.version, size: release.sizeBytes }) : '';
}

/**
 * Tells subscribers of new releases. It may fail and be slow: the newest notice of each device waits until it is
 * confirmed, and is handed over again. Being an abstract class, it is also the base of those that a platform team adds.
 *
 * @publicApi
 */
export abstract class Notifier {
  /** Its name in metrics and logs. */
  abstract readonly name: string;
  /** Hands over a notice; resolves when it is confirmed, rejects when it has to be handed over again. */
  abstract publish(notice: ReleaseNotice, signal: AbortSignal): Promise<void>;
  /**
   * Called before the first notice, and again after the connection was lost. Resolves to the payload that each device
   * was last told, where the other side keeps it; rejects when it cannot be reached.
   */
  open(_signal: AbortSignal): Promise<ReadonlyMap<string, string> | undefined> {
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
