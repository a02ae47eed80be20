import type { Clock } from '../../clock.js';
import type { Delivery, DeviceRefusal, DeviceRequest } from '../../delivery/index.js';
import { OtaError } from '../../errors.js';
import type { Release } from '../../firmware/index.js';
import type { Fleet, UnitState } from '../../fleet/index.js';
import type { UnitIdentity } from '../../identity.js';
import { demandProduct } from '../demand-product.js';
import { isSameVersion } from '../../semver.js';
import { isGuarded } from '../guards.js';
import { hasFailed, type Offers } from '../offers.js';
import { handedOut, hasEnded, openAction, standingOf, type Action } from './action.js';
import { actionIdOf } from './action-id.js';
import { actionOver, noAction } from './refusal.js';

export const PROTOCOL = 'ddi';

/** A release that a unit is offered, and the id of its action. */
export interface OfferedAction {
  readonly id: number;
  readonly release: Release;
}

/** Finds and changes the actions of units. An action is what hawkBit calls one release for one unit. */
export class Actions {
  constructor(
    private readonly delivery: Delivery,
    private readonly fleet: Fleet,
    private readonly offers: Offers,
    private readonly clock: Clock,
  ) {}

  async find(unit: UnitIdentity): Promise<UnitState | undefined> {
    return this.fleet.find(unit);
  }

  nowMs(): number {
    return this.clock.nowMs();
  }

  /**
   * Returns the release that a unit is to run: the current one, or an older one from which it can go on. Undefined: the
   * product has none, or the unit may take none. Rejects while that is not known.
   */
  async current(
    unit: UnitIdentity,
    state: UnitState | undefined,
    request: DeviceRequest,
  ): Promise<Release | undefined> {
    try {
      const current = await this.offers.current(unit.product, request);
      const isPlanned = this.offers.isPlanned(unit.product);
      const running = isPlanned ? this.runningOf(unit, state, current) : state?.running;
      const ask = { ...unit, running, hardware: state?.hardware };
      if (current && !isPlanned && !isGuarded(current, ask.hardware)) return current;
      const { release, withheld } = await this.offers.guarded(current, ask, PROTOCOL);
      return withheld === undefined || withheld === 'up-to-date' ? release : undefined;
    } catch (error) {
      if (OtaError.isAnswer(error)) return undefined;
      throw error;
    }
  }

  /**
   * Returns what a unit without an open action is offered: the current release, unless the unit runs it, or has installed
   * it, or has failed to. Undefined: nothing. Rejects for a product without a release.
   */
  async offerTo(
    unit: UnitIdentity,
    state: UnitState | undefined,
    request: DeviceRequest,
  ): Promise<OfferedAction | undefined> {
    const current = await this.offers.current(unit.product, request);
    const ask = { ...unit, running: this.runningOf(unit, state, current), hardware: state?.hardware };
    const options = { protocol: PROTOCOL, oncePerRelease: true, ignoresRunning: true };
    const { release, withheld } = await this.offers.of(ask, request, options);
    if (withheld !== undefined) return undefined;
    return { id: idOf(unit, state, release), release };
  }

  /** Notes that an open action was offered again. */
  offeredAgain(unit: UnitIdentity, release: Release, request: DeviceRequest): void {
    this.delivery.offer(release, request);
    this.offers.note(unit, PROTOCOL, release);
  }

  /**
   * Hands out the action `id`, and returns its release. Resolves when that is stored. Rejects with the refusal 404 if the
   * unit is not offered this action.
   */
  async handOut(unit: UnitIdentity, id: number, request: DeviceRequest): Promise<Release> {
    const state = await this.find(unit);
    const action = openAction(state);
    if (action) {
      if (action.id !== id) throw noAction(id);
      const release = await this.current(unit, state, request);
      if (standingOf(action, release, this.nowMs()) !== 'offered') throw noAction(id);
      return this.releaseOf(action, release, unit.product, request);
    }
    const offered = await this.offerTo(unit, state, request);
    if (offered?.id !== id) throw noAction(id);
    await this.change(unit, (before) => (openAction(before) ? before : handedOut(before, id, offered.release)));
    return offered.release;
  }

  /**
   * Returns the release of the action `id`: one that is open, offered, or was the last one of the unit. Rejects with the
   * refusal 404 otherwise.
   */
  async release(unit: UnitIdentity, id: number, request: DeviceRequest): Promise<Release> {
    const state = await this.find(unit);
    const action = openAction(state);
    if (action?.id === id) return this.promised(action, unit, request);
    const current = await this.current(unit, state, request);
    if (current && idOf(unit, state, current) === id) return current;
    throw noAction(id);
  }

  /**
   * Returns the release of an open action, also while no further download may start: its unit takes a refusal for a failed
   * update, and would not be offered the release again.
   */
  private async promised(action: Action, { product }: UnitIdentity, request: DeviceRequest): Promise<Release> {
    let release: Release | undefined;
    try {
      release = await this.delivery.wanted(product, request);
    } catch {
      // The version of the action may still be there.
    }
    if (release?.manifestDigest !== action.digest) release = await this.releaseOf(action, undefined, product, request);
    this.delivery.offer(release, request);
    return release;
  }

  /**
   * Changes the state of a unit by a report about its open action `id`. Resolves when the change is stored. Rejects with
   * a refusal, and changes nothing, if the unit has no such action (404) or has ended it (410).
   *
   * @param step returns the new state, and whether the report came too late
   */
  async report(
    unit: UnitIdentity,
    id: number,
    request: DeviceRequest,
    step: (state: UnitState, action: Action) => { readonly state: UnitState; readonly isOver?: boolean },
  ): Promise<void> {
    const state = await this.find(unit);
    const offered = openAction(state)?.id === id ? undefined : await this.reportable(unit, id, state, request);
    let refusal: DeviceRefusal | undefined;
    await this.change(unit, (before) => {
      refusal = undefined;
      const known = offered && !openAction(before) ? handedOut(before, id, offered.release) : before;
      const action = openAction(known);
      // Another report may have been stored in between.
      if (action?.id !== id) {
        refusal = hasEnded(before, id) ? actionOver() : noAction(id);
        return before;
      }
      const after = step(known, action);
      if (after.isOver) refusal = actionOver();
      return after.state;
    });
    if (refusal) throw refusal;
  }

  /** Changes the state of a unit. Resolves when the change is stored. */
  async change(unit: UnitIdentity, change: (state: UnitState) => UnitState): Promise<void> {
    await this.fleet.update(unit, PROTOCOL, change);
  }

  /** Rejects for a product without a release, so that strangers cannot fill the store with made-up names. */
  async demandProduct({ product }: UnitIdentity, request: DeviceRequest): Promise<void> {
    await demandProduct(this.delivery, product, request);
  }

  /**
   * Returns the offer that a report is about. It was never handed out if this server has lost its state since then: then
   * the report is as good as one for an open action.
   */
  private async reportable(
    unit: UnitIdentity,
    id: number,
    state: UnitState | undefined,
    request: DeviceRequest,
  ): Promise<OfferedAction> {
    if (hasEnded(state, id)) throw actionOver();
    const current = openAction(state) ? undefined : await this.current(unit, state, request);
    if (!current || idOf(unit, state, current) !== id || !mayTake(state, current)) throw noAction(id);
    return { id, release: current };
  }

  /** Returns what a unit runs. It may go on naming an old version, for example in a file that its integrator has forgotten. */
  private runningOf(
    { product }: UnitIdentity,
    state: UnitState | undefined,
    current: Release | undefined,
  ): string | undefined {
    if (current && hasInstalled(state, current)) return current.version;
    return this.offers.installedBy(product, state) ?? state?.running;
  }

  private async releaseOf(
    { id, version, digest }: Action,
    current: Release | undefined,
    product: string,
    request: DeviceRequest,
  ): Promise<Release> {
    if (current?.manifestDigest === digest) return current;
    const release = await this.delivery.wanted(product, request, version, true);
    // The tag was moved: the action promised other bytes.
    if (release.manifestDigest !== digest) throw noAction(id);
    return release;
  }
}

function idOf(unit: UnitIdentity, state: UnitState | undefined, { manifestDigest }: Release): number {
  return actionIdOf(unit, manifestDigest, state?.retries);
}

function hasInstalled(state: UnitState | undefined, { manifestDigest }: Release): boolean {
  return state?.outcome?.outcome === 'installed' && state.outcome.digest === manifestDigest;
}

/** Returns whether a unit would be offered `release`, without telling the fleet that it was. */
function mayTake(state: UnitState | undefined, release: Release): boolean {
  return !isSameVersion(state?.running, release.version) && !hasInstalled(state, release) && !hasFailed(state, release);
}
