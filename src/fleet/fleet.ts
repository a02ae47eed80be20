import { Injectable, Logger, Optional, type OnApplicationShutdown } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { Clock } from '../clock.js';
import { Settings } from '../config/index.js';
import { explained, OtaError } from '../errors.js';
import type { UnitIdentity } from '../identity.js';
import { FleetMeter } from '../metrics/index.js';
import { after, turn, type Timer } from '../timers.js';
import { afterReturn } from './came-back.js';
import { withEarlier, withoutFailures } from './endings.js';
import { FleetStore, type ListedUnit, type UnitChange, type UnitCounts } from './fleet-store.js';
import { RolloutLedger } from './rollout-ledger.js';
import { afterRunning, applied, endOf, type Sighting } from './sighting.js';
import type { UnitChanged, UnitEvent } from './unit-event.js';
import { UnitEvents } from './unit-events.js';
import { boundedAttributes, boundedMessage, type UnitState } from './unit-state.js';
import type { OfferedRelease, Report, Said } from './said.js';

/** Sightings are collected for so long, so that a request does not wait for the store. */
const COLLECT_MS = 1_000;
/** Sightings of more units than this are stored at once. */
const MAX_COLLECTED = 20_000;
/** So many sightings are stored before other work gets its turn: a thousand take about 10 ms. */
const STORED_AT_ONCE = 200;

/**
 * What units say of themselves: what they run, when they were seen, what they were offered, and how their updates ended.
 * Sightings cost a request no more than an entry in a map. Reports are stored before their promise resolves.
 *
 * @publicApi
 */
@Injectable()
export class Fleet implements OnApplicationShutdown {
  private readonly logger = new Logger('Fleet');
  private readonly told: UnitEvents;
  /** A sighting is here until the store has it, so that a report is never stored before what the unit said earlier. */
  private readonly sightings = new Map<string, Sighting>();
  private timer: Timer | undefined;
  private storing: Promise<void> | undefined;
  private failing = false;
  private closed = false;

  /** @internal Created by Nest. */
  constructor(
    private readonly store: FleetStore,
    private readonly clock: Clock,
    private readonly meter: FleetMeter,
    { logLevel }: Settings,
    @Optional() private readonly ledger?: RolloutLedger,
  ) {
    this.told = new UnitEvents(clock, meter, logLevel === 'debug' || logLevel === 'trace');
    meter.observe(async () => this.samples());
  }

  /** Every event of every unit, as it happens. */
  get events(): Observable<UnitEvent> {
    return this.told.events;
  }

  /** Every change of a unit that this replica has stored. */
  get changes(): Observable<UnitChanged> {
    return this.told.changes;
  }

  /** Notes that a unit has asked for an update. Without a unit, does nothing. */
  seen(said: Said, protocol: string): void {
    if (said.unit === undefined) return;
    this.note(said, protocol, said.running !== undefined);
    this.told.tell('checked', said as UnitIdentity, protocol, { version: said.running });
  }

  /** Notes that a unit was offered `release`. Without a unit, does nothing. */
  offered(said: Said, protocol: string, release: OfferedRelease): void {
    if (said.unit === undefined) return;
    const sighting = this.note(said, protocol);
    sighting.offered = release;
    this.told.tell('offered', said as UnitIdentity, protocol, factsOf(release));
  }

  /**
   * Notes that a unit, or a device that does not say which unit it is, must not get `release`.
   *
   * @param reason a word for the metric: one of a few
   * @param message why, for people
   */
  withheld(said: Said, protocol: string, release: OfferedRelease, reason: string, message: string): void {
    this.meter.withheldFor(protocol, reason);
    if (said.unit !== undefined)
      this.told.tell('withheld', said as UnitIdentity, protocol, { ...factsOf(release), message });
  }

  /** Notes that a unit has started to download `release`. Without a unit, does nothing. */
  downloading(said: Said, protocol: string, release: OfferedRelease): void {
    if (said.unit === undefined) return;
    this.note(said, protocol);
    this.told.tell('downloading', said as UnitIdentity, protocol, factsOf(release));
  }

  /**
   * Notes that a unit has received the last byte of `release`. If it comes back running something else for the third
   * time, the release has failed on it. Without a unit, does nothing.
   */
  downloaded(said: Said, protocol: string, release: OfferedRelease): void {
    if (said.unit === undefined) return;
    // What the unit runs was said before the download.
    this.note({ product: said.product, unit: said.unit }, protocol).downloaded = release;
  }

  /**
   * Stores a report. Resolves when it is stored: then it is safe to answer the unit. Rejects with OtaError if it cannot
   * be stored.
   */
  async report(identity: UnitIdentity, protocol: string, report: Report): Promise<void> {
    await this.applyWithSighting(identity, protocol, (before, sighting) => {
      const now = this.clock.nowMs();
      let seen = applied(before, sighting, protocol, now);
      const { outcome, message } = report;
      const version = report.version ?? (outcome === undefined ? undefined : seen.offer?.version);
      if (outcome === undefined && report.running !== undefined)
        seen = afterReturn(afterRunning(seen, report.running, now), report.running, now);
      const running = report.running ?? (outcome === 'installed' ? version : undefined);
      const digest = version !== undefined && version === seen.offer?.version ? seen.offer.digest : undefined;
      return {
        ...seen,
        ...(running !== undefined && { running }),
        ...(report.hardware !== undefined && { hardware: report.hardware }),
        ...(outcome !== undefined && {
          outcome: { outcome, version, digest, message: boundedMessage(message), atMs: now },
        }),
        ...((outcome === 'failed' || outcome === 'rejected') && { downloaded: undefined }),
        ...(report.attributes && { attributes: boundedAttributes(report.attributes) }),
        ...(report.notes && { notes: report.notes }),
      };
    });
  }

  /** Changes the state of a unit otherwise, for protocols. Resolves when it is stored. */
  async update(identity: UnitIdentity, protocol: string, change: (state: UnitState) => UnitState): Promise<UnitState> {
    return this.applyWithSighting(identity, protocol, (before, sighting) =>
      change(applied(before, sighting, protocol, this.clock.nowMs())),
    );
  }

  /**
   * Lets a unit try the release again that it has failed to install or has rejected. Resolves to its state before, or to
   * undefined if there is no such unit. Rejects with OtaError if that cannot be stored.
   */
  async retry(identity: UnitIdentity): Promise<UnitState | undefined> {
    await this.flush();
    if (!(await this.store.find(identity))) return undefined;
    const { before, after } = await this.store.update(identity, (state) => ({
      ...(state ?? { firstSeenMs: this.clock.nowMs(), lastSeenMs: this.clock.nowMs() }),
      outcome: undefined,
      earlier: withoutFailures(state),
      downloaded: undefined,
      retries: (state?.retries ?? 0) + 1,
    }));
    this.told.changed({ product: identity.product, unit: identity.unit, before, after });
    return before;
  }

  /**
   * Forgets a unit: what it has said, its last outcome, and its key. Resolves to its state before, or to undefined if there
   * is no such unit. Rejects with OtaError if that cannot be stored.
   */
  async forget(identity: UnitIdentity): Promise<UnitState | undefined> {
    await this.flush();
    const before = await this.store.remove(identity);
    if (before) this.told.changed({ product: identity.product, unit: identity.unit, before, after: undefined });
    return before;
  }

  /** Returns the stored state of a unit, or undefined. It may lack what the unit said in the last second. */
  find(identity: UnitIdentity): UnitState | undefined | Promise<UnitState | undefined> {
    return this.store.find(identity);
  }

  /** Returns the digest of the release that a unit was offered in the last second, if that is not stored yet. */
  lastOffer({ product, unit }: UnitIdentity): string | undefined {
    return this.sightings.get(`${product}\0${unit}`)?.offered?.manifestDigest;
  }

  /** Returns units of a product by name; see FleetStore. */
  async list(product: string, afterUnit: string | undefined, limit: number): Promise<readonly ListedUnit[]> {
    await this.flush();
    return this.store.list(product, afterUnit, limit);
  }

  /** Returns the numbers of a product's units. */
  async counts(product: string): Promise<UnitCounts> {
    await this.flush();
    return this.store.counts(product);
  }

  /** Stores all sightings. Never rejects: a failure is logged. */
  async flush(): Promise<void> {
    this.timer?.stop();
    this.timer = undefined;
    // Those that are added meanwhile wait for the next time.
    const count = this.sightings.size;
    const before = this.storing;
    const storing = (async () => {
      await before;
      await this.storeFirst(count);
    })();
    this.storing = storing;
    await storing;
    if (this.storing === storing) this.storing = undefined;
  }

  async onApplicationShutdown(): Promise<void> {
    await this.flush();
    this.closed = true;
    this.told.close();
    // What was just stored may have been counted.
    await this.ledger?.close();
    await this.store.close();
  }

  private note({ product, unit = '', running, hardware }: Said, protocol: string, checked = false): Sighting {
    const key = `${product}\0${unit}`;
    let sighting = this.sightings.get(key);
    // A unit that now runs something else may have installed an update, which must not be taken for its first sighting. One
    // that asks after a full download has come back.
    if (sighting && (isOther(sighting, running) || (checked && sighting.downloaded))) {
      this.sightings.delete(key);
      void this.keep(sighting);
      sighting = undefined;
    }
    if (!sighting) {
      const atMs = this.clock.nowMs();
      sighting = {
        product,
        unit,
        protocol,
        running,
        hardware,
        checked,
        offered: undefined,
        downloaded: undefined,
        atMs,
      };
      // The store is closed.
      if (this.closed) return sighting;
      this.sightings.set(key, sighting);
      if (this.sightings.size < MAX_COLLECTED) this.storeSoon();
      else if (!this.storing) void this.flush();
      return sighting;
    }
    sighting.protocol = protocol;
    sighting.checked ||= checked;
    if (running !== undefined) sighting.running = running;
    if (hardware !== undefined) sighting.hardware = hardware;
    return sighting;
  }

  /**
   * Changes a unit together with its sighting that is not stored yet. If that fails, the sighting waits for the next time:
   * a unit that reports again is still known to have been offered something.
   */
  private async applyWithSighting(
    identity: UnitIdentity,
    protocol: string,
    change: (before: UnitState | undefined, sighting: Sighting | undefined) => UnitState,
  ): Promise<UnitState> {
    const key = `${identity.product}\0${identity.unit}`;
    const sighting = this.sightings.get(key);
    this.sightings.delete(key);
    try {
      return await this.apply(identity, protocol, (before) => change(before, sighting));
    } catch (error) {
      if (sighting && !this.closed && !this.sightings.has(key)) {
        this.sightings.set(key, sighting);
        this.storeSoon();
      }
      throw error;
    }
  }

  private storeSoon(): void {
    this.timer ??= after(COLLECT_MS, () => {
      void this.flush();
    });
  }

  private async storeFirst(count: number): Promise<void> {
    const written: Promise<void>[] = [];
    for (const [key, sighting] of this.sightings) {
      if (written.length === count) break;
      this.sightings.delete(key);
      written.push(this.keep(sighting));
      if (written.length % STORED_AT_ONCE === 0) await turn();
    }
    await Promise.all(written);
  }

  /** Hands a sighting to the store at once. Never rejects. */
  private async keep(sighting: Sighting): Promise<void> {
    try {
      await this.apply(sighting, sighting.protocol, (before) =>
        applied(before, sighting, sighting.protocol, sighting.atMs),
      );
      this.failing = false;
    } catch (error) {
      if (!this.failing) this.logger.error({ event: 'units.store_failed', ...explained(error) });
      this.failing = true;
    }
  }

  private async apply(identity: UnitIdentity, protocol: string, change: UnitChange): Promise<UnitState> {
    const { product, unit } = identity;
    const { before, after } = await this.stored({ product, unit }, (state) => withEarlier(state, change(state)));
    const end = endOf(before, after);
    if (end) this.told.tell(end.outcome, { product, unit }, protocol, { ...end, before: before?.outcome });
    if (after !== before) this.told.changed({ product, unit, before, after });
    return after;
  }

  private async stored(identity: UnitIdentity, change: UnitChange): ReturnType<FleetStore['update']> {
    try {
      return await this.store.update(identity, change);
    } catch (error) {
      throw OtaError.from(error, 'unavailable', 'what a unit has said cannot be stored');
    }
  }

  private async samples(): Promise<readonly { product: string; counts: UnitCounts }[]> {
    await this.flush();
    const products = await this.store.products(this.meter.maxProducts);
    return Promise.all(products.map(async (product) => ({ product, counts: await this.store.counts(product) })));
  }
}

/** Returns whether a unit that was seen, or was offered something, before says that it runs something else now. */
function isOther({ running: before, offered }: Sighting, running: string | undefined): boolean {
  return running !== undefined && running !== before && (before !== undefined || offered !== undefined);
}

function factsOf({ version, manifestDigest }: OfferedRelease): Pick<UnitEvent, 'version' | 'digest'> {
  return { version, digest: manifestDigest };
}
