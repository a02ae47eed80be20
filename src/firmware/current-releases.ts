import { Logger } from '@nestjs/common';
import { Subject, type Observable } from 'rxjs';
import type { FirmwareStore } from '../cache/index.js';
import { OtaError } from '../errors.js';
import { KnownDevices, type DeviceState } from './known-devices.js';
import type { Release, ReleaseChanged } from './release.js';

/** A release that was told is kept this long after another took its place (CONTRACT, device rule 5). */
export const TOLD_MS = 600_000;
/** Told and then superseded more often than this within TOLD_MS is no product, it is a test. */
const MAX_SUPERSEDED = 8;

/** What each device should run, and what it was told before: how one release takes the place of another. */
export class CurrentReleases {
  readonly devices = new KnownDevices();
  private readonly logger = new Logger('ReleaseService');
  private readonly changed = new Subject<ReleaseChanged>();

  constructor(private readonly store: FirmwareStore) {}

  /** Every change of a device's current release, after it was made. */
  get changes(): Observable<ReleaseChanged> {
    return this.changed.asObservable();
  }

  /** No changes are told from now on. */
  end(): void {
    this.changed.complete();
  }

  /**
   * Puts `after` in the place of what is current; the one before stays to be had for those who were told of it.
   *
   * @param isTrusted whether the one before is still trusted, as far as anybody knows
   */
  change(state: DeviceState, after: Release | undefined, isTrusted = true): void {
    const before = state.release;
    const nowMs = performance.now();
    if (before && isTrusted && nowMs - before.toldAtMs < TOLD_MS && before.toldAtMs > 0) {
      this.store.hold(before.firmware.sha256, before.toldAtMs + TOLD_MS);
      state.superseded = [before, ...state.superseded.filter((release) => nowMs - release.toldAtMs < TOLD_MS)].slice(
        0,
        MAX_SUPERSEDED,
      );
    }
    if (before && !isTrusted) state.distrustedAtMs = nowMs;
    state.release = after;
    this.devices.file(state);
    if (before?.equals(after)) return;
    this.logger.log({
      event: after ? 'release.changed' : 'release.withdrawn',
      device: state.device,
      version: after?.version,
      before: before?.version,
      digest: after?.manifestDigest,
      sizeBytes: after?.firmware.sizeBytes,
    });
    this.changed.next({ device: state.device, before, after, sinceMs: state.hintedAtMs ?? nowMs });
  }

  /**
   * Forgets at once, without asking anybody, what was signed by those who are not trusted any more; what stays is to be
   * judged again. Returns the devices that have, or had, a release.
   */
  distrust(trusts: (device: string, release: Release) => boolean): string[] {
    const states = [...this.devices.withRelease()];
    for (const state of states) {
      const trusted = (release: Release): boolean => trusts(state.device, release);
      // Who asks for one by its version has it found and judged again.
      state.superseded = state.superseded.filter((release) => release.signer === undefined && trusted(release));
      state.judgeAgain = true;
      state.distrustedAtMs = performance.now();
      if (state.release && !trusted(state.release)) this.forget(state, state.release);
    }
    return states.map(({ device }) => device);
  }

  private forget(state: DeviceState, release: Release): void {
    const reason = `${release.version} was signed by ${release.signer?.name ?? 'nobody'}, who is no longer trusted. Sign it with a key or identity that is configured`;
    this.logger.warn({ event: 'release.distrusted', device: state.device, version: release.version, reason });
    state.failure = new OtaError('untrusted', reason);
    state.retryAtMs = -Infinity;
    // It is not one that was told and superseded: it must not be had by its version either.
    this.change(state, undefined, false);
  }
}
