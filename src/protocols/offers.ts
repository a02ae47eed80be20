import { Injectable } from '@nestjs/common';
import { Delivery, type DeviceRequest } from '../delivery/index.js';
import type { Release } from '../firmware/index.js';
import { Fleet, type UnitState } from '../fleet/index.js';
import type { UnitIdentity } from '../identity.js';
import { isSameVersion } from '../semver.js';
import type { Ask } from './ask.js';

/** Why a unit is offered nothing. `failed`: it has reported that this release failed or that it has rejected it. */
export type Withheld = 'up-to-date' | 'failed';

/** What a unit is offered. */
export interface Offer {
  /** The current release of the product. */
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
}

/**
 * Decides which release a unit is offered, for all protocols: the current one of its product, unless the unit runs it.
 * Tells the fleet what the unit has said and what it was offered. Creates no promise if everything is in memory.
 */
@Injectable()
export class Offers {
  constructor(
    private readonly delivery: Delivery,
    private readonly fleet: Fleet,
  ) {}

  /** Returns the offer for `ask`. Throws or rejects with OtaError or DeviceRefusal, as `Delivery.current` does. */
  of(ask: Ask, request: DeviceRequest, options: OfferOptions): Offer | Promise<Offer> {
    this.fleet.seen(ask, options.protocol);
    const release = this.delivery.current(ask.product, request);
    return release instanceof Promise
      ? release.then((found) => this.decide(found, ask, request, options))
      : this.decide(release, ask, request, options);
  }

  private decide(
    release: Release,
    ask: Ask,
    request: DeviceRequest,
    { protocol, oncePerRelease = false }: OfferOptions,
  ): Offer | Promise<Offer> {
    if (isSameVersion(ask.running, release.version)) return { release, withheld: 'up-to-date' };
    if (!oncePerRelease || ask.unit === undefined) return this.offer(release, ask, request, protocol);
    const state = this.fleet.find(ask as UnitIdentity);
    const decide = (known: UnitState | undefined): Offer =>
      hasFailed(known, release) ? { release, withheld: 'failed' } : this.offer(release, ask, request, protocol);
    return state instanceof Promise ? state.then(decide) : decide(state);
  }

  private offer(release: Release, ask: Ask, request: DeviceRequest, protocol: string): Offer {
    this.delivery.offer(release, request);
    this.fleet.offered(ask, protocol, release);
    return { release, withheld: undefined };
  }
}

/** Returns whether a unit has reported that it could not install this release, or has rejected it. */
export function hasFailed(state: UnitState | undefined, { version, manifestDigest }: Release): boolean {
  const { outcome } = state ?? {};
  if (outcome?.outcome !== 'failed' && outcome?.outcome !== 'rejected') return false;
  return outcome.digest === undefined ? outcome.version === version : outcome.digest === manifestDigest;
}
