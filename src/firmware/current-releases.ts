import { Logger } from '@nestjs/common';
import { Subject, type Observable } from 'rxjs';
import type { FirmwareStore } from '../cache/index.js';
import { OtaError } from '../errors.js';
import { hexOf } from '../oci/index.js';
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
    if (before?.equals(after)) {
      // It may have another signer than before, or more images.
      state.release = after;
      return;
    }
    if (before && isTrusted) this.keepOffered(state, before, nowMs);
    if (before && !isTrusted) state.distrustedAtMs = nowMs;
    state.release = after;
    state.toldAtMs = state.superseded.find(({ release }) => release.equals(after))?.toldAtMs ?? -Infinity;
    this.devices.file(state);
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

  /** Notes that `release` was offered to a device. Called on the hot path. */
  told(release: Release, nowMs: number): void {
    const state = this.devices.get(release.device);
    if (!state) return;
    if (release.equals(state.release)) state.toldAtMs = nowMs;
    else for (const one of state.superseded) if (release.equals(one.release)) one.toldAtMs = nowMs;
  }

  /** Returns the replaced releases of a device that were offered in the last minutes. */
  stillOffered({ superseded }: DeviceState, nowMs: number): Release[] {
    return superseded.filter(({ toldAtMs }) => nowMs - toldAtMs < TOLD_MS).map(({ release }) => release);
  }

  /** Keeps a release that is being replaced, for the devices that were offered it. */
  private keepOffered(state: DeviceState, release: Release, nowMs: number): void {
    const { toldAtMs } = state;
    if (nowMs - toldAtMs >= TOLD_MS) return;
    for (const sha256 of storedNames(release)) this.store.hold(sha256, toldAtMs + TOLD_MS);
    const others = state.superseded.filter((one) => nowMs - one.toldAtMs < TOLD_MS && !release.equals(one.release));
    state.superseded = [{ release, toldAtMs }, ...others].slice(0, MAX_SUPERSEDED);
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
      state.superseded = state.superseded.filter(({ release }) => release.signer === undefined && trusted(release));
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

/** Returns the names under which the store has the images of `release`, as far as its manifest says them. */
function storedNames({ firmware, images }: Release): Set<string> {
  return new Set([firmware.sha256, ...images.map(({ digest }) => hexOf(digest))]);
}
