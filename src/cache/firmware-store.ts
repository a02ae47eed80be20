import type { Readable } from 'node:stream';
import type { Firmware } from './firmware-digester.js';

/** Firmware in use. The store does not drop it before it is released. */
export interface Lease {
  /** All bytes, if they are in memory. */
  readonly bytes: Buffer | undefined;
  /** Returns the bytes from `start` to `end`, both inclusive. */
  read(start: number, end: number): Readable;
  /** Ends the use. Must be called once. */
  release(): void;
}

/** Firmware to store. */
export interface FirmwareSource {
  /** Size in bytes, or undefined if it is not known yet. Decides where the firmware is kept while it is received. */
  readonly sizeBytes: number | undefined;
  /** Returns the bytes from the first one. It is called again if the first place to store them failed. */
  open(): AsyncIterable<Buffer>;
}

/**
 * Stores firmware by its SHA-256, limited by bytes. It never drops firmware that is in use. This abstract class is also
 * the injection token.
 *
 * @publicApi
 */
export abstract class FirmwareStore {
  /**
   * Resolves to size and digests of the firmware with this SHA-256 (64 hex digits), or to undefined if it is not
   * stored. Its bytes were checked since this process started.
   */
  abstract find(sha256: string): Promise<Firmware | undefined>;
  /**
   * Reads a source to its end and stores it. If the source fails, rejects with the error of the source and stores
   * nothing. Rejects with OtaError `unavailable` if there is no room.
   */
  abstract put(source: FirmwareSource): Promise<Firmware>;
  /** Returns a lease of stored firmware, or undefined if it is not stored. */
  abstract open(sha256: string): Lease | undefined;
  /** Returns whether `open` would return a lease. Called on the hot path. */
  abstract has(sha256: string): boolean;
  /**
   * Asks the store to keep the firmware until `untilMs` (on the clock of `performance.now()`), if the limits allow it.
   */
  abstract hold(sha256: string, untilMs: number): void;
}
