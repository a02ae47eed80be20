import { Logger } from '@nestjs/common';
import { Subject, type Observable } from 'rxjs';
import type { FirmwareStore } from '../cache/index.js';
import { OtaError } from '../errors.js';
import { KnownDevices, type DeviceState } from './known-devices.js';
import type { Release, ReleaseChanged } from './release.js';

/** How long a replaced release stays available after it was last offered (CONTRACT, device rule 5). */
export const TOLD_MS = 600_000;
/** Replaced releases of one device that stay available. More within TOLD_MS only occur in tests. */
const MAX_SUPERSEDED = 8;

/** The current release of each device, and its replaced releases that were offered before. */
export class CurrentReleases {
  readonly devices = new KnownDevices();
  private readonly logger = new Logger('ReleaseService');
  private readonly changed = new Subject<ReleaseChanged>();

  constructor(private readonly store: FirmwareStore) {}

  /** Every change of a device's current release, after it was made. */
  get changes(): Observable<ReleaseChanged> {
    return this.changed.asObservable();
  }

  /** Emits no changes from now on. */
  end(): void {
    this.changed.complete();
  }

  /**
   * Makes `after` the current release. The release before stays available for devices that were offered it.
   *
   * @param isTrusted whether the release before is still trusted, as far as is known
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
   * Drops the releases of signers that are no longer trusted, at once and without a request. Marks the others to be
   * verified again. Returns the devices that have, or had, a release.
   */
  distrust(trusts: (device: string, release: Release) => boolean): string[] {
    const states = [...this.devices.withRelease()];
    for (const state of states) {
      const trusted = (release: Release): boolean => trusts(state.device, release);
      // A request for its version finds and verifies it again.
      state.superseded = state.superseded.filter((release) => release.signer === undefined && trusted(release));
      state.verifyAgain = true;
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
    // It is not kept as a replaced release: it must not be available by its version either.
    this.change(state, undefined, false);
  }
}
