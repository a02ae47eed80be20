import { Injectable, Logger } from '@nestjs/common';
import { Delivery, type DeviceRequest } from '../delivery/index.js';
import type { Release } from '../firmware/index.js';
import { Fleet, type UnitState } from '../fleet/index.js';
import type { UnitIdentity } from '../identity.js';
import { isSameVersion } from '../semver.js';
import type { Ask } from './ask.js';
import { hardwareMismatch, isGuarded, versionMismatch, type Guarded, type Mismatch } from './guards.js';

/**
 * Why a unit is offered nothing. `failed`: it has reported that this release failed or that it has rejected it. `hardware`:
 * the release is for other hardware. `requires`: it requires a version that the unit does not run, and there is no other
 * release that the unit may take.
 */
export type Withheld = 'up-to-date' | 'failed' | 'hardware' | 'requires';

/** What a unit is offered. */
export interface Offer {
  /** The release that the unit may take, or the current one of the product if it may take none. */
  readonly release: Release;
  /** Why the unit is not offered `release`. Undefined if it is offered. */
  readonly withheld: Withheld | undefined;
}

/** Options of a protocol for its offers. */
export interface OfferOptions {
  /** Name of the protocol, such as `ddi`. */
  readonly protocol: string;
  /** Whether a release is withheld from a unit that has failed to install it. For clients that would try it for ever. */
  readonly oncePerRelease?: boolean;
  /** See `GuardOptions`. */
  readonly bytesOf?: GuardOptions['bytesOf'] | undefined;
}

/** What a client has asked for, if that is not the firmware of the current release. */
export interface GuardOptions {
  /**
   * Whether the client has named the version. Then it gets no other one, and nobody is assumed to run nothing that the
   * release requires: a person may ask, too.
   */
  readonly isNamed?: boolean;
  /** Returns what the client gets of a release: one of these has to be for its hardware. Default: the firmware. */
  readonly bytesOf?: ((release: Release) => readonly Guarded[] | Promise<readonly Guarded[]>) | undefined;
}

/** Products about which the operator was warned. */
const MAX_WARNED = 10_000;

/**
 * Decides which release a unit is offered, for all protocols: the current one of its product, unless the unit runs it, or
 * must not get it. Tells the fleet what the unit has said and what it was offered. Creates no promise if everything is in
 * memory.
 */
@Injectable()
export class Offers {
  private readonly logger = new Logger('Offers');
  private readonly warned = new Set<string>();

  constructor(
    private readonly delivery: Delivery,
    private readonly fleet: Fleet,
  ) {}

  /** Returns the offer for `ask`. Throws or rejects with OtaError or DeviceRefusal, as `Delivery.current` does. */
  of(ask: Ask, request: DeviceRequest, options: OfferOptions): Offer | Promise<Offer> {
    const release = this.delivery.current(ask.product, request);
    return release instanceof Promise
      ? release.then((found) => this.decide(found, ask, request, options))
      : this.decide(release, ask, request, options);
  }

  /**
   * Returns whether a client may not get `release`, so that `guarded` has to decide. Called on the hot path. The hardware
   * that a unit has reported counts like the one that it names in the request.
   */
  isGuarded(release: Release, ask: Ask): boolean {
    if (isGuarded(release, ask.hardware)) return true;
    if (ask.unit === undefined || ask.hardware !== undefined || release.firmware.esp === undefined) return false;
    const known = this.fleet.find(ask as UnitIdentity);
    return known instanceof Promise || known?.hardware !== undefined;
  }

  /**
   * Returns what a client may take instead of `current`: itself, an older release from which it can go on, or nothing. Does
   * not note it as an offer. Rejects with OtaError.
   */
  async guarded(current: Release, ask: Ask, protocol: string, options: GuardOptions = {}): Promise<Offer> {
    const { isNamed = false, bytesOf = (one: Release): Guarded[] => [one] } = options;
    const known = ask.unit === undefined ? undefined : await this.fleet.find(ask as UnitIdentity);
    const running = ask.running ?? known?.running;
    const hardware = ask.hardware ?? known?.hardware;
    let release: Release | undefined = current;
    let mismatch = isNamed && running === undefined ? undefined : versionMismatch(current, running);
    if (mismatch) {
      if (running === undefined) this.warnUnsaid(current, mismatch);
      release = isNamed ? undefined : await this.delivery.steppingStone(current, running);
    }
    const wrong = release && hardware !== undefined ? mismatchOf(await bytesOf(release), hardware) : undefined;
    if (release && !wrong) return { release, withheld: undefined };
    mismatch = wrong ?? mismatch;
    if (!mismatch) return { release: current, withheld: undefined };
    const { reason, message } = mismatch;
    this.fleet.withheld(ask, protocol, current, reason, message);
    return { release: current, withheld: reason };
  }

  private decide(current: Release, ask: Ask, request: DeviceRequest, options: OfferOptions): Offer | Promise<Offer> {
    // Not before it is known that there is such a product: strangers must not fill the store with made-up names.
    this.fleet.seen(ask, options.protocol);
    if (isSameVersion(ask.running, current.version)) return { release: current, withheld: 'up-to-date' };
    if (!this.isGuarded(current, ask)) return this.unlessFailed(current, ask, request, options);
    return this.guarded(current, ask, options.protocol, options).then((offer) => {
      if (offer.withheld !== undefined) return offer;
      return isSameVersion(ask.running, offer.release.version)
        ? { release: offer.release, withheld: 'up-to-date' }
        : this.unlessFailed(offer.release, ask, request, options);
    });
  }

  private unlessFailed(
    release: Release,
    ask: Ask,
    request: DeviceRequest,
    { protocol, oncePerRelease = false }: OfferOptions,
  ): Offer | Promise<Offer> {
    if (!oncePerRelease || ask.unit === undefined) return this.offer(release, ask, request, protocol);
    const state = this.fleet.find(ask as UnitIdentity);
    const decide = (known: UnitState | undefined): Offer => {
      if (!hasFailed(known, release)) return this.offer(release, ask, request, protocol);
      this.fleet.withheld(ask, protocol, release, 'failed', 'the unit has reported that it could not install it');
      return { release, withheld: 'failed' };
    };
    return state instanceof Promise ? state.then(decide) : decide(state);
  }

  private offer(release: Release, ask: Ask, request: DeviceRequest, protocol: string): Offer {
    this.delivery.offer(release, request);
    this.fleet.offered(ask, protocol, release);
    return { release, withheld: undefined };
  }

  private warnUnsaid({ device, version }: Release, { message }: Mismatch): void {
    const key = `${device} ${version}`;
    if (this.warned.has(key)) return;
    if (this.warned.size >= MAX_WARNED) this.warned.clear();
    this.warned.add(key);
    this.logger.warn({
      event: 'release.requires_unsaid',
      device,
      version,
      reason: `${message}. Such units get the highest version without a condition. Make them send &running=VERSION`,
    });
  }
}

/** Returns why hardware of this name must get none of `bytes`, or undefined if it may get one. */
function mismatchOf(bytes: readonly Guarded[], hardware: string): Mismatch | undefined {
  const mismatches = bytes.map((one) => hardwareMismatch(one, hardware));
  return mismatches.every((mismatch) => mismatch !== undefined) ? mismatches[0] : undefined;
}

/** Returns whether a unit has reported that it could not install this release, or has rejected it. */
export function hasFailed(state: UnitState | undefined, { version, manifestDigest }: Release): boolean {
  const { outcome } = state ?? {};
  if (outcome?.outcome !== 'failed' && outcome?.outcome !== 'rejected') return false;
  return outcome.digest === undefined ? outcome.version === version : outcome.digest === manifestDigest;
}
