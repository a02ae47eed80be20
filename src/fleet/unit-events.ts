import { Logger } from '@nestjs/common';
import { Subject, type Observable } from 'rxjs';
import type { Clock } from '../clock.js';
import type { UnitIdentity } from '../identity.js';
import type { FleetMeter } from '../metrics/index.js';
import type { UnitChanged, UnitEvent, UnitEventKind } from './unit-event.js';

/** The line of the log for each event of a unit. */
const LOG_LINES: Readonly<Record<UnitEventKind, { readonly event: string }>> = {
  checked: { event: 'unit.checked' },
  offered: { event: 'unit.offered' },
  withheld: { event: 'unit.withheld' },
  downloading: { event: 'unit.downloading' },
  installed: { event: 'unit.installed' },
  failed: { event: 'unit.failed' },
  rejected: { event: 'unit.rejected' },
};

/** Tells what happens to units to the log, the meter and whoever listens. */
export class UnitEvents {
  private readonly logger = new Logger('Fleet');
  private readonly happened = new Subject<UnitEvent>();
  private readonly stored = new Subject<UnitChanged>();

  /** @param logs whether every event is logged */
  constructor(
    private readonly clock: Clock,
    private readonly meter: FleetMeter,
    private readonly logs: boolean,
  ) {}

  get events(): Observable<UnitEvent> {
    return this.happened;
  }

  get changes(): Observable<UnitChanged> {
    return this.stored;
  }

  changed(change: UnitChanged): void {
    this.stored.next(change);
  }

  tell(
    kind: UnitEventKind,
    { product, unit }: UnitIdentity,
    protocol: string,
    { version, digest, message, before }: Pick<UnitEvent, 'version' | 'digest' | 'message' | 'before'>,
  ): void {
    const isEnd = kind === 'installed' || kind === 'failed' || kind === 'rejected';
    if (isEnd) this.meter.ended(protocol, kind);
    if (!this.logs && !this.happened.observed) return;
    const atMs = this.clock.nowMs();
    const event: UnitEvent = { kind, product, unit, protocol, version, digest, message, before, atMs };
    if (this.logs) this.logger.debug({ ...LOG_LINES[kind], device: product, unit, protocol, version, message });
    this.happened.next(event);
  }

  close(): void {
    this.happened.complete();
    this.stored.complete();
  }
}
