import { Logger } from '@nestjs/common';
import { Subject, type Observable } from 'rxjs';
import type { FirmwareStore } from '../cache/index.js';
import { OtaError } from '../errors.js';
import { hexOf } from '../oci/index.js';
import type { Signer } from '../signature/index.js';
import { KnownDevices, type DeviceState } from './known-devices.js';
import type { CatalogueEntry } from './catalogue-entry.js';
import type { PlanInForce } from './plan-finder.js';
import { PlanRefused } from './plan-refused.js';
import type { Planned } from './product-search.js';
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
  private readonly planned = new Subject<string>();

  constructor(private readonly store: FirmwareStore) {}

  /** Every change of a device's current release, after it was made. */
  get changes(): Observable<ReleaseChanged> {
    return this.changed.asObservable();
  }

  /** The product whose plan, or what may be served by it, has changed or ended. */
  get planChanges(): Observable<string> {
    return this.planned.asObservable();
  }

  /** Emits no changes from now on. */
  end(): void {
    this.changed.complete();
    this.planned.complete();
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
    if (before && isTrusted) this.keepOffered(state, before, state.toldAtMs, nowMs);
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

  /**
   * Puts a plan, and what may be served by it, into force, or ends the plan. Versions that are no longer served stay
   * available for devices that were offered them.
   *
   * @param isTrusted whether what was served before is still trusted, as far as is known
   */
  adopt(state: DeviceState, planned: Planned | undefined, isTrusted = true): void {
    const before = state.planned;
    if (before === planned) return;
    state.planned = planned;
    const kept = new Set(planned?.catalogue.releases);
    const nowMs = performance.now();
    for (const entry of before?.catalogue.releases ?? [])
      if (entry.release && isTrusted && !kept.has(entry)) this.keepOffered(state, entry.release, entry.toldAtMs, nowMs);
    this.devices.file(state);
    const serial = planned?.inForce.plan.serial;
    const serialBefore = before?.inForce.plan.serial;
    if (planned?.inForce.digest !== before?.inForce.digest)
      this.logger.log({
        event: planned ? 'plan.changed' : 'plan.ended',
        device: state.device,
        serial,
        before: serialBefore,
        digest: planned?.inForce.manifestDigest,
        signer: planned?.inForce.signer?.name,
      });
    this.planned.next(state.device);
  }

  /** Notes that `release` was offered to a device. Called on the hot path. */
  told(release: Release, nowMs: number): void {
    const state = this.devices.get(release.device);
    if (!state) return;
    if (release.equals(state.release)) state.toldAtMs = nowMs;
    else for (const one of state.superseded) if (release.equals(one.release)) one.toldAtMs = nowMs;
    if (state.planned)
      for (const entry of state.planned.catalogue.releases) if (release.equals(entry)) entry.toldAtMs = nowMs;
  }

  /** Returns the replaced releases of a device that were offered in the last minutes. */
  stillOffered({ superseded }: DeviceState, nowMs: number): Release[] {
    return superseded.filter(({ toldAtMs }) => nowMs - toldAtMs < TOLD_MS).map(({ release }) => release);
  }

  /** Keeps a release that is being replaced, for the devices that were offered it. */
  private keepOffered(state: DeviceState, release: Release, toldAtMs: number, nowMs: number): void {
    if (nowMs - toldAtMs >= TOLD_MS) return;
    for (const sha256 of storedNames(release)) this.store.hold(sha256, toldAtMs + TOLD_MS);
    const others = state.superseded.filter((one) => nowMs - one.toldAtMs < TOLD_MS && !release.equals(one.release));
    state.superseded = [{ release, toldAtMs }, ...others].slice(0, MAX_SUPERSEDED);
  }

  /**
   * Drops the releases and plans of signers that are no longer trusted, at once and without a request. Marks the others
   * to be verified again. Returns the devices that have, or had, a release or a plan.
   */
  distrust(
    trusts: (device: string, signer: Signer | undefined) => boolean,
    trustsPlan: (device: string, plan: PlanInForce) => boolean,
  ): string[] {
    const states = [...this.devices.served()];
    for (const state of states) {
      const trusted = ({ signer }: Pick<Release, 'signer'>): boolean => trusts(state.device, signer);
      // A request for its version finds and verifies it again.
      state.superseded = state.superseded.filter(({ release }) => release.signer === undefined && trusted(release));
      state.verifyAgain = true;
      state.distrustedAtMs = performance.now();
      const { planned } = state;
      if (planned && !trustsPlan(state.device, planned.inForce)) this.forgetPlan(state, planned.inForce);
      else if (planned) this.adopt(state, onlyOf(planned, trusted), false);
      if (state.release && !trusted(state.release)) this.forget(state, state.release);
    }
    return states.map(({ device }) => device);
  }

  /** Without its plan, nothing of a product may be served: the plan might hold it back. */
  private forgetPlan(state: DeviceState, { plan, signer, manifestDigest }: PlanInForce): void {
    const reason = `the plan with serial ${plan.serial} was signed by ${signer?.name ?? 'nobody'}, who is no longer trusted. Sign the plan with a key or identity that is configured`;
    const error = new PlanRefused('untrusted', reason, manifestDigest);
    this.logger.error({
      event: 'plan.rejected',
      device: state.device,
      digest: manifestDigest,
      code: error.code,
      serial: plan.serial,
      reason,
    });
    state.failure = state.planRefusal = error;
    state.retryAtMs = -Infinity;
    state.planned = undefined;
    if (state.release) this.change(state, undefined, false);
    else this.devices.file(state);
    this.planned.next(state.device);
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

/** Returns the same without the versions that are not trusted. */
function onlyOf(planned: Planned, trusted: (entry: CatalogueEntry) => boolean): Planned {
  const { inForce, catalogue } = planned;
  const releases = catalogue.releases.filter(trusted);
  return releases.length === catalogue.releases.length ? planned : { inForce, catalogue: { ...catalogue, releases } };
}

/** Returns the names under which the store has the images of `release`, as far as its manifest says them. */
function storedNames({ firmware, images }: Release): Set<string> {
  return new Set([firmware.sha256, ...images.map(({ digest }) => hexOf(digest))]);
}
