import { Injectable, Logger } from '@nestjs/common';
import { Delivery, type DeviceRequest } from '../delivery/index.js';
import { OtaError } from '../errors.js';
import type { Release } from '../firmware/index.js';
import { Fleet, hasFailedToInstall, type UnitState } from '../fleet/index.js';
import type { UnitIdentity } from '../identity.js';
import { Rollouts, type PlannedCatalogue } from '../rollout/index.js';
import { isSameVersion } from '../semver.js';
import type { Ask } from './ask.js';
import { hardwareMismatch, isGuarded, versionMismatch, type Guarded, type Mismatch } from './guards.js';

/**
 * Why a unit is offered nothing. `failed`: it has reported that this release failed or that it has rejected it. `hardware`:
 * the release is for other hardware. `requires`: it requires a version that the unit does not run, and there is no other
 * release that the unit may take. By a plan: `newer`: the unit runs a higher version. `yanked`: the version that the plan
 * names is yanked. `halted`: its rollout is halted. `waiting`: its rollout has not reached the unit. `unavailable`: no
 * release of its channel can be offered.
 */
export type Withheld =
  'up-to-date' | 'failed' | 'hardware' | 'requires' | 'newer' | 'yanked' | 'halted' | 'waiting' | 'unavailable';

/** What a unit is offered. */
export type Offer =
  | {
      /** The release that the unit may take. */
      readonly release: Release;
      readonly withheld: undefined;
    }
  | {
      /**
       * The release that the unit runs if it is `up-to-date`, unless that is not needed. Otherwise the one that everybody is
       * offered, or undefined if there is none.
       */
      readonly release: Release | undefined;
      /** Why the unit is offered nothing. */
      readonly withheld: Withheld;
    };

/** Options of a protocol for its offers. */
export interface OfferOptions {
  /** Name of the protocol, such as `ddi`. */
  readonly protocol: string;
  /** Whether a release is withheld from a unit that has failed to install it. For clients that would try it for ever. */
  readonly oncePerRelease?: boolean;
  /** See `GuardOptions`. */
  readonly bytesOf?: GuardOptions['bytesOf'] | undefined;
  /** See `GuardOptions`. */
  readonly ignoresRunning?: boolean;
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
  /** Whether the answer to a unit that is up to date needs no release, so that it is not downloaded. */
  readonly ignoresRunning?: boolean;
}

/** Why a unit is offered nothing by a plan, for the event of the unit. */
const REASONS: Readonly<Record<Withheld, string>> = {
  'up-to-date': 'the unit runs this version',
  newer: 'the unit runs a higher version',
  failed: 'the unit has reported that it could not install it',
  hardware: 'the release is for other hardware',
  requires: 'the release requires another version than the unit runs',
  yanked: 'the plan has yanked the version',
  halted: 'the rollout of the version is halted',
  waiting: 'the rollout of the version has not reached the unit',
  unavailable: 'no release of its channel can be offered to the unit',
};

/** Products about which the operator was warned. */
const MAX_WARNED = 10_000;

/**
 * Decides which release a unit is offered, for all protocols: what the plan of its product selects for it, or the current
 * release, unless the unit runs it, or must not get it. Tells the fleet what the unit has said and what it was offered.
 * Creates no promise if everything is in memory.
 */
@Injectable()
export class Offers {
  private readonly logger = new Logger('Offers');
  private readonly warned = new Set<string>();

  constructor(
    private readonly delivery: Delivery,
    private readonly fleet: Fleet,
    private readonly rollouts: Rollouts,
  ) {}

  /** Returns the offer for `ask`. Throws or rejects with OtaError or DeviceRefusal, as `Delivery.current` does. */
  of(ask: Ask, request: DeviceRequest, options: OfferOptions): Offer | Promise<Offer> {
    const release = this.current(ask.product, request);
    return release instanceof Promise
      ? release.then((found) => this.decide(found, ask, request, options))
      : this.decide(release, ask, request, options);
  }

  /**
   * Returns the release that everybody is offered. Undefined: the product has a plan, by which nothing is offered to
   * everybody yet, so that `guarded` has to decide. Throws or rejects as `Delivery.current` does.
   */
  current(product: string, request: DeviceRequest): Release | undefined | Promise<Release | undefined> {
    return this.ifAbsent(product, () => this.delivery.current(product, request));
  }

  /** Returns the result of `find`, or undefined if there is none, but a plan of the product that `guarded` can ask. */
  ifAbsent(
    product: string,
    find: () => Release | Promise<Release>,
  ): Release | undefined | Promise<Release | undefined> {
    const otherwise = (error: unknown): undefined => {
      if (!OtaError.isAnswer(error) || !this.rollouts.planned(product)) throw error;
      return undefined;
    };
    try {
      const found = find();
      return found instanceof Promise ? found.catch(otherwise) : found;
    } catch (error) {
      otherwise(error);
      return undefined;
    }
  }

  /**
   * Returns whether a client may not get `release`, so that `guarded` has to decide. Called on the hot path. The hardware
   * that a unit has reported counts like the one that it names in the request.
   */
  isGuarded(release: Release | undefined, ask: Ask): boolean {
    if (!release || this.rollouts.planned(ask.product)) return true;
    if (isGuarded(release, ask.hardware)) return true;
    if (ask.unit === undefined || ask.hardware !== undefined || release.firmware.esp === undefined) return false;
    const known = this.fleet.find(ask as UnitIdentity);
    return known instanceof Promise || known?.hardware !== undefined;
  }

  /**
   * Returns what a client may take instead of `current`: what the plan selects for it, `current` itself, an older release
   * from which it can go on, or nothing. Does not note it as an offer. Throws or rejects with OtaError or DeviceRefusal.
   */
  guarded(
    current: Release | undefined,
    ask: Ask,
    protocol: string,
    options: GuardOptions = {},
  ): Offer | Promise<Offer> {
    const known = ask.unit === undefined ? undefined : this.fleet.find(ask as UnitIdentity);
    return known instanceof Promise
      ? known.then((state) => this.knowing(state, current, ask, protocol, options))
      : this.knowing(known, current, ask, protocol, options);
  }

  /** Returns whether the product has a plan. */
  isPlanned(product: string): boolean {
    return this.rollouts.planned(product) !== undefined;
  }

  /** Returns the version that a unit of a product with a plan has installed last, if the plan still has it. */
  installedBy(product: string, state: UnitState | undefined): string | undefined {
    const { outcome } = state ?? {};
    if (outcome?.outcome !== 'installed' || outcome.digest === undefined) return undefined;
    const releases = this.rollouts.planned(product)?.releases;
    return releases?.find(({ manifestDigest }) => manifestDigest === outcome.digest)?.version;
  }

  /** Notes that a client is offered `release`, for protocols that answer with the download itself. */
  note(ask: Ask, protocol: string, release: Release): void {
    this.rollouts.offered(ask.unit === undefined ? undefined : (ask as UnitIdentity), ask.product, release);
    this.fleet.offered(ask, protocol, release);
  }

  private decide(
    current: Release | undefined,
    ask: Ask,
    request: DeviceRequest,
    options: OfferOptions,
  ): Offer | Promise<Offer> {
    // Not before it is known that there is such a product: strangers must not fill the store with made-up names.
    this.fleet.seen(ask, options.protocol);
    if (current && !this.isGuarded(current, ask)) {
      if (isSameVersion(ask.running, current.version)) return { release: current, withheld: 'up-to-date' };
      return this.unlessFailed(current, ask, request, options);
    }
    return whenReady(this.guarded(current, ask, options.protocol, options), (offer) => {
      if (offer.withheld !== undefined) return offer;
      return isSameVersion(ask.running, offer.release.version)
        ? { release: offer.release, withheld: 'up-to-date' }
        : this.unlessFailed(offer.release, ask, request, options);
    });
  }

  private knowing(
    state: UnitState | undefined,
    current: Release | undefined,
    ask: Ask,
    protocol: string,
    options: GuardOptions,
  ): Offer | Promise<Offer> {
    const catalogue = options.isNamed ? undefined : this.rollouts.planned(ask.product);
    if (catalogue) return this.planned(catalogue, current, ask, state, protocol, options);
    // A plan has ended in between.
    return current
      ? this.unplanned(current, ask, state, protocol, options)
      : { release: current, withheld: 'unavailable' };
  }

  /** Decides by the plan, and then by the chip of what the client gets. */
  private planned(
    catalogue: PlannedCatalogue,
    current: Release | undefined,
    ask: Ask,
    state: UnitState | undefined,
    protocol: string,
    { bytesOf, ignoresRunning = false }: GuardOptions,
  ): Offer | Promise<Offer> {
    const hardware = ask.hardware ?? state?.hardware;
    const { release, reason, about } = this.rollouts.select(
      catalogue,
      {
        product: ask.product,
        unit: ask.unit,
        channel: ask.channel,
        running: ask.running ?? state?.running,
        hardware,
        attributes: state?.attributes,
      },
      state,
    );
    if (!release) {
      const withheld = reason as Withheld;
      if (withheld === 'up-to-date' && about && !ignoresRunning)
        return whenReady(this.delivery.selected(this.rollouts.deliver(about)), (runs) => ({ release: runs, withheld }));
      if (about && withheld !== 'up-to-date') this.fleet.withheld(ask, protocol, about, withheld, REASONS[withheld]);
      return { release: current, withheld };
    }
    const selected = this.delivery.selected(this.rollouts.deliver(release));
    if (hardware === undefined && !(selected instanceof Promise)) return { release: selected, withheld: undefined };
    return whenReady(selected, (found) => {
      if (hardware === undefined) return { release: found, withheld: undefined };
      return whenReady(bytesOf ? bytesOf(found) : [found], (bytes) => {
        const wrong = mismatchOf(bytes, hardware);
        if (!wrong) return { release: found, withheld: undefined };
        this.fleet.withheld(ask, protocol, found, wrong.reason, wrong.message);
        return { release: current, withheld: wrong.reason };
      });
    });
  }

  /** Decides by what `current` demands of a unit. */
  private async unplanned(
    current: Release,
    ask: Ask,
    known: UnitState | undefined,
    protocol: string,
    { isNamed = false, bytesOf = (one: Release): Guarded[] => [one] }: GuardOptions,
  ): Promise<Offer> {
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
      this.fleet.withheld(ask, protocol, release, 'failed', REASONS.failed);
      return { release, withheld: 'failed' };
    };
    return state instanceof Promise ? state.then(decide) : decide(state);
  }

  private offer(release: Release, ask: Ask, request: DeviceRequest, protocol: string): Offer {
    this.delivery.offer(release, request);
    this.note(ask, protocol, release);
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

/** Returns the result of `then`, at once if `found` is no promise. */
function whenReady<T, R>(found: T | Promise<T>, then: (found: T) => R | Promise<R>): R | Promise<R> {
  return found instanceof Promise ? found.then(then) : then(found);
}

/** Returns why hardware of this name must get none of `bytes`, or undefined if it may get one. */
function mismatchOf(bytes: readonly Guarded[], hardware: string): Mismatch | undefined {
  const mismatches = bytes.map((one) => hardwareMismatch(one, hardware));
  return mismatches.every((mismatch) => mismatch !== undefined) ? mismatches[0] : undefined;
}

/** Returns whether a unit has reported that it could not install this release, or has rejected it. */
export function hasFailed(
  state: UnitState | undefined,
  { version, manifestDigest }: Pick<Release, 'version' | 'manifestDigest'>,
): boolean {
  return hasFailedToInstall(state, { version, manifestDigest });
}
