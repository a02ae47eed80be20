import type { Readable } from 'node:stream';
import type { Firmware } from './firmware-digester.js';

/** Firmware in use: it stays where it is until it is released. */
export interface Lease {
  /** All of it, when it is in memory. */
  readonly bytes: Buffer | undefined;
  /** The bytes from `start` to `end`, both included. */
  read(start: number, end: number): Readable;
  /** Ends the use. Called once. */
  release(): void;
}

/** Firmware to be stored. */
export interface FirmwareSource {
  /** Its size when that is known beforehand; decides where it is kept while it comes in. */
  readonly sizeBytes: number | undefined;
  /** Its bytes from the first one; called again when the first place to store them failed. */
  open(): AsyncIterable<Buffer>;
}

/**
 * Keeps firmware by its SHA-256, bounded by bytes. What is in use is never dropped.
 * Being an abstract class, it is also the token that it is injected by.
 *
 * @publicApi
 */
export abstract class FirmwareStore {
  /** What is stored under a SHA-256 (64 hex digits), its bytes checked since this process started; undefined when it is not there. */
  abstract find(sha256: string): Promise<Firmware | undefined>;
  /**
   * Reads a source to its end and keeps it. Rejects with what the source fails with, keeping nothing;
   * with OtaError `unavailable` when there is no room for it anywhere.
   */
  abstract put(source: FirmwareSource): Promise<Firmware>;
  /** Begins a use of what is stored, or undefined when it is not there. */
  abstract open(sha256: string): Lease | undefined;
  /** Whether `open` would find it; for the hot path. */
  abstract has(sha256: string): boolean;
  /** Asks to keep it until `untilMs` (on the clock of `performance.now()`) if the bounds allow. */
  abstract hold(sha256: string, untilMs: number): void;
}
