import { Controller, Inject } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import pLimit from 'p-limit';
import { OtaError, reasonOf } from '../errors.js';
import { ReleaseService } from '../firmware/index.js';
import { Fleet, type Report, type UnitState } from '../fleet/index.js';
import { isUnitName, type UnitIdentity } from '../identity.js';
import { isRepositoryName } from '../oci/index.js';
import { reportIn } from '../protocols/index.js';
import type { RoutedMessage, Verdict } from './event-server.js';
import { REPORT, STATUS, type Route } from './topics.js';

type UnitMessage = RoutedMessage<Extract<Route, { product: string }>>;

/** The largest report of POST /report. */
const MAX_REPORT_BYTES = 64 * 1024;
/** Products without a release in memory that are looked up at the same time. Anybody who may publish can make them up. */
const LOOKUPS = 2;
const MAX_LOOKUPS_WAITING = 100;
/** Tasmota writes Online and Offline, the bridge of mosquitto 1 and 0. */
const STATUS_WORDS: ReadonlyMap<string, string> = new Map([
  ...['online', '1', 'true', 'connected'].map((word): [string, string] => [word, 'online']),
  ...['offline', '0', 'false', 'disconnected', 'lost'].map((word): [string, string] => [word, 'offline']),
]);

/** What units say by a broker. The topic names the unit, so the access rules of the broker decide who may speak for it. */
@Controller()
export class UnitReportsController {
  private readonly lookups = pLimit(LOOKUPS);

  constructor(
    @Inject(Fleet) private readonly fleet: Fleet,
    @Inject(ReleaseService) private readonly releases: ReleaseService,
  ) {}

  /** The JSON of `POST /report`. A report that repeats the last one changes nothing. */
  @EventPattern(REPORT)
  async report(@Payload() { kind, route, message }: UnitMessage): Promise<Verdict> {
    const problem = problemOf(route);
    if (problem !== undefined) return invalid(problem);
    if (message.payload.length > MAX_REPORT_BYTES) return { result: 'too_large' };
    // A client clears a retained message by an empty one.
    if (message.payload.length === 0) return { result: 'ignored' };
    let report: Report;
    try {
      report = reportIn(message.payload);
    } catch (error) {
      return invalid(`the report is invalid: ${reasonOf(error)}`);
    }
    const refusal = await this.refusalOf(route.product);
    if (refusal) return refusal;
    if (isRepeated(await this.fleet.find(route), report)) return { result: 'ignored' };
    await this.fleet.report(identityOf(route), kind, report);
    return { result: 'reported' };
  }

  /** `online` or `offline`, as the last will of a unit. The attribute `connection` shows it. */
  @EventPattern(STATUS)
  async status(@Payload() { kind, route, message }: UnitMessage): Promise<Verdict> {
    const problem = problemOf(route);
    if (problem !== undefined) return invalid(problem);
    if (message.payload.length === 0) return { result: 'ignored' };
    const connection = STATUS_WORDS.get(wordIn(message.payload));
    if (connection === undefined) return invalid('the status is invalid. Expected online or offline');
    const refusal = await this.refusalOf(route.product);
    if (refusal) return refusal;
    const before = await this.fleet.find(route);
    // Brokers send retained messages again at every connection.
    if (before?.attributes?.connection === connection || (!before && connection === 'offline'))
      return { result: 'ignored' };
    await this.fleet.update(identityOf(route), before?.protocol ?? kind, (state) => ({
      ...state,
      lastSeenMs: connection === 'offline' && before ? before.lastSeenMs : state.lastSeenMs,
      attributes: { ...state.attributes, connection },
    }));
    return { result: 'reported' };
  }

  /** Returns why messages of a product are not accepted: it has no release. As for POST /report. */
  private async refusalOf(product: string): Promise<Verdict | undefined> {
    if (this.releases.knows(product)) return undefined;
    if (this.lookups.pendingCount >= MAX_LOOKUPS_WAITING) return { result: 'dropped' };
    try {
      await this.lookups(() => this.releases.current(product));
      return undefined;
    } catch (error) {
      // While the registry cannot say, the report is stored.
      if (!OtaError.isAnswer(error)) return undefined;
      return {
        result: 'unknown',
        reason: `there is no firmware for device ${JSON.stringify(product)}. Check the topic`,
      };
    }
  }
}

function problemOf({ product, unit }: UnitIdentity): string | undefined {
  if (!isRepositoryName(product)) return 'the topic names no device: expected TOPIC/DEVICE/units/UNIT/report';
  return isUnitName(unit) ? undefined : 'the topic names no unit: expected 1 to 128 printable characters';
}

function identityOf({ product, unit }: UnitIdentity): UnitIdentity {
  return { product, unit };
}

function wordIn(payload: Buffer): string {
  return payload.subarray(0, 32).toString('utf8').trim().replaceAll('"', '').toLowerCase();
}

function invalid(reason: string): Verdict {
  return { result: 'invalid', reason };
}

/** Returns whether the state says already what `report` says: brokers may deliver a message more than once. */
function isRepeated(state: UnitState | undefined, report: Report): boolean {
  if (!state) return false;
  const { outcome, running = state.running, hardware = state.hardware, version, message } = report;
  const last = state.outcome;
  if (report.attributes || running !== state.running || hardware !== state.hardware) return false;
  if (outcome === undefined) return true;
  return (
    last?.outcome === outcome &&
    (version === undefined || last.version === version) &&
    (last.message ?? '') === (message ?? '').trim() &&
    (state.offer === undefined || state.offer.atMs <= last.atMs)
  );
}
