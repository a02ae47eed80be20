import { Injectable, Logger } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import type { Lease } from '../cache/index.js';
import { Clock } from '../clock.js';
import { Settings } from '../config/index.js';
import { explained, OtaError, reasonOf } from '../errors.js';
import { Release, ReleaseService, type Deliverable, type StoredImage } from '../firmware/index.js';
import { DeliveryMeter } from '../metrics/index.js';
import { plainVersion, Standings } from '../plan/index.js';
import { parseVersion } from '../semver.js';
import {
  answerRefusal,
  DeviceRefusal,
  noFile,
  noFirmware,
  noVersion,
  stoppedVersion,
  preconditionFailed,
  rangeNotSatisfiable,
  refusalOf,
} from './answers.js';
import { answerOf, sendOneRange, sendRanges, type Answer } from './body.js';
import { ClientAddress } from './client-address.js';
import { allowsRange, evaluateConditions } from './conditions.js';
import type { DeviceRequest } from './device-request.js';
import { Download, whenOwned } from './download.js';
import { Downloads } from './downloads.js';
import { OfferedReleases } from './offered-releases.js';
import { withPatience } from './patience.js';
import { prepare, representationOf, type Representation } from './prepared.js';
import { parameter } from './query.js';
import { parseRanges, type Ranges } from './ranges.js';

/** A missing file is restored and sent once more. If it is missing again, the disk is broken. */
const MAX_TRIES = 2;
/** Length of a tag. A longer version is not repeated in a response. */
const MAX_VERSION_LENGTH = 128;

/**
 * Called when a connection has accepted a response with firmware.
 *
 * @param isEnd whether the response contained the last byte of the file: clients that resume ask for the rest
 */
export type Delivered = (bytes: number, isEnd: boolean) => void;

/**
 * Sends firmware to devices, for all protocols: finds the release, waits for it, limits downloads, evaluates conditions
 * and ranges (RFC 9110), sends the bytes, and answers errors. A protocol adds its own responses. If the release is in
 * memory, the methods return it directly and create no promise.
 *
 * @publicApi
 */
@Injectable()
export class Delivery {
  private readonly logger = new Logger('Delivery');
  private readonly offered: OfferedReleases;

  /** @internal Created by Nest. */
  constructor(
    private readonly releases: ReleaseService,
    private readonly downloads: Downloads,
    private readonly meter: DeliveryMeter,
    private readonly standings: Standings,
    private readonly clock: Clock,
    settings: Settings,
  ) {
    this.offered = new OfferedReleases(new ClientAddress(settings.trustProxy));
  }

  /**
   * Returns the release to offer to `device` now. Its bytes are in the cache. A device that is offered a version
   * downloads it, so while MAX_DOWNLOADS are in progress, this throws the DeviceRefusal of that limit. Also throws or
   * rejects with OtaError.
   */
  current(device: string, { receivedAtMs }: DeviceRequest): Release | Promise<Release> {
    this.downloads.demand();
    const found = this.atHand(this.releases.current(device, receivedAtMs));
    if (!(found instanceof Promise)) return found;
    return found.then((release) => {
      // Other downloads may have started while this one waited.
      this.downloads.demand();
      return release;
    });
  }

  /** Returns `release`, which a plan has selected for a unit, when its bytes can be sent. Rejects with OtaError. */
  selected(release: Release | Promise<Release>): Release | Promise<Release> {
    return this.atHand(release);
  }

  /**
   * Notes that `release` is offered to the client of `request`: its next download without a version gets this release.
   */
  offer(release: Release, { raw, query, receivedAtMs }: DeviceRequest): void {
    this.releases.told(release, receivedAtMs);
    this.offered.note(raw, release, receivedAtMs, unitIn(query));
  }

  /**
   * Returns the release that a unit may take instead of `current`, which requires a version that it does not run. Resolves
   * to undefined if there is none. Rejects with OtaError, after the time that a device waits.
   *
   * @param running the version that the unit runs; undefined if it does not say
   */
  steppingStone(current: Release, running: string | undefined): Promise<Release | undefined> {
    return withPatience(this.releases.steppingStone(current, running));
  }

  /**
   * Returns the release to send to `device`: the one with `version`, if that is set, otherwise the one that this client
   * was offered, otherwise the current one. Throws or rejects with OtaError or DeviceRefusal.
   *
   * @param isPromised whether the client was promised `version`: then it gets it also after the plan has stopped it
   */
  wanted(device: string, request: DeviceRequest, version?: string, isPromised = false): Release | Promise<Release> {
    return this.atHand(this.wantedRelease(device, request, version, isPromised));
  }

  /**
   * Returns the image with the title `file` of the release that `wanted` returns, without waiting for the firmware of
   * that release. See `image`.
   */
  wantedImage(
    device: string,
    request: DeviceRequest,
    file: string,
    version?: string,
  ): StoredImage | Promise<StoredImage> {
    const release = this.wantedRelease(device, request, version);
    if (release instanceof Promise) return withPatience(release.then((found) => this.image(found, file)));
    return this.image(release, file);
  }

  /**
   * Returns an image of `release`, with all digests. If its bytes are not in the cache, they are downloaded first, and
   * the result is a promise. Throws or rejects with OtaError, or with a refusal (404) if there is no such image.
   *
   * @param file title of the image, or digest of its layer
   */
  image(release: Release, file: string): StoredImage | Promise<StoredImage> {
    const image = release.image(file);
    if (!image) throw noFile(release, file);
    const stored = this.releases.image(release, image);
    return stored instanceof Promise ? withPatience(stored) : stored;
  }

  /** Returns the release that `wanted` returns, without waiting for its firmware. Send images of it with `image`. */
  wantedRelease(
    device: string,
    request: DeviceRequest,
    version?: string,
    isPromised = false,
  ): Release | Promise<Release> {
    if (version === '') throw noFirmware(device);
    // Before what was offered: a client that names a version asks for it again.
    if (version !== undefined && !isPromised) this.demandServed(device, version);
    const offered = this.offeredTo(device, request);
    if (offered && (version === undefined || offered.version === version)) return offered;
    return version === undefined
      ? this.releases.current(device, request.receivedAtMs)
      : this.releases
          .exact(device, version, request.receivedAtMs)
          .catch((error: unknown) => this.missing(device, version, error));
  }

  /**
   * Returns the release with `version`. If there is none, rejects with a refusal that names the current version, for a
   * person who asks.
   */
  private async missing(device: string, version: string, error: unknown): Promise<never> {
    const isVersion = version.length <= MAX_VERSION_LENGTH && parseVersion(version) !== undefined;
    if (!(error instanceof OtaError) || error.code !== 'absent' || !isVersion) throw error;
    let current: Release;
    try {
      current = await this.releases.current(device);
    } catch {
      throw error;
    }
    throw noVersion(device, version, current.version);
  }

  /**
   * Answers `request` with the firmware of a release, or with an image of it: 200, 206, 304, or only headers for HEAD.
   * The bytes are sent when the response owns its connection. Throws the DeviceRefusal of a condition, a range or the
   * limit of downloads.
   *
   * @param extra headers of the protocol, as a flat list of names and values
   * @param contentType media type of the response. Default: `application/octet-stream`
   * @param delivered called when the connection has accepted the complete response
   */
  send(
    release: Release | StoredImage,
    request: DeviceRequest,
    response: ServerResponse,
    extra: readonly string[] = [],
    contentType?: string,
    delivered?: Delivered,
  ): void {
    const { headers } = request.raw;
    const answers =
      release instanceof Release && contentType === undefined
        ? prepare(release)
        : representationOf(release, contentType);
    const outcome = evaluateConditions(headers, answers.validators);
    if (outcome === 'precondition-failed') throw preconditionFailed();
    if (outcome === 'not-modified') {
      response.writeHead(304, [...answers.common, ...extra]).end();
      return;
    }
    const { sizeBytes } = release.firmware;
    // Range is defined for GET only (RFC 9110, section 14.2).
    const ranged =
      request.method === 'GET' &&
      headers.range !== undefined &&
      allowsRange(headers['if-range'] as string | undefined, answers.validators);
    const ranges = ranged ? parseRanges(headers.range, sizeBytes) : 'whole';
    if (ranges === 'unsatisfiable') throw rangeNotSatisfiable(sizeBytes);
    if (request.method === 'HEAD') {
      response.writeHead(200, [...answers.whole, ...extra]).end();
      return;
    }
    whenOwned(response, () => {
      // If the response had to wait for another one, no caller would catch the error.
      try {
        this.begin(release, ranges, answers, request, response, extra, delivered);
      } catch (error) {
        this.refuse(response, error, release.device);
      }
    });
  }

  /**
   * Answers with the status of `error`. An error that is neither an OtaError nor a refusal becomes a 500.
   *
   * @param answer how to answer the refusal. Default: a line of text, and the end of the connection
   */
  refuse(
    response: ServerResponse,
    error: unknown,
    device: string | undefined,
    answer: (refusal: DeviceRefusal, response: ServerResponse) => void = answerRefusal,
  ): void {
    if (!(error instanceof DeviceRefusal) && !(error instanceof OtaError))
      this.logger.error({
        event: 'device.failed',
        ...explained(error),
        stack: error instanceof Error ? error.stack : undefined,
      });
    try {
      const refusal = refusalOf(error, device);
      if (response.headersSent) response.destroy();
      else answer(refusal, response);
    } catch (unsendable) {
      this.logger.error({ event: 'device.failed', reason: reasonOf(unsendable) });
      response.destroy();
    }
  }

  /**
   * Returns the release that the client of `request` was offered, unless it has to be verified again since then. Its bytes
   * may have been dropped.
   */
  offeredTo(device: string, { raw, query, receivedAtMs }: DeviceRequest): Release | undefined {
    return this.offered.to(raw, device, receivedAtMs, this.releases.distrustedAtMs(device), unitIn(query));
  }

  /** Returns `release` if its bytes can be sent, otherwise a promise. It rejects after the time that a device waits. */
  private atHand(release: Release | Promise<Release>): Release | Promise<Release> {
    if (release instanceof Promise)
      return withPatience(
        release.then(async (found) => {
          await this.releases.deliverable(found);
          return found;
        }),
      );
    const bytes = this.releases.deliverable(release);
    return bytes ? withPatience(bytes.then(() => release)) : release;
  }

  /** Throws the refusal 404 for a version that the plan of `device` has yanked or halted. */
  private demandServed(device: string, named: string): void {
    const plan = this.releases.catalogue(device)?.plan;
    if (!plan) return;
    // The version of a release is also found by its tag.
    const version = plainVersion(named) ?? named;
    if (plan.yanked.has(version)) throw stoppedVersion(device, version, 'it is yanked');
    const nowMs = this.clock.nowMs();
    for (const rollout of plan.rollouts) {
      const halted = rollout.version === version && this.standings.of(device, rollout, nowMs).halted;
      if (halted) throw stoppedVersion(device, version, `its rollout is halted: ${halted}`);
    }
  }

  private begin(
    release: Deliverable,
    ranges: Exclude<Ranges, 'unsatisfiable'>,
    answers: Representation,
    request: DeviceRequest,
    response: ServerResponse,
    extra: readonly string[],
    delivered: Delivered | undefined,
  ): void {
    // An offered version is always delivered: its device would take a refusal for firmware (CONTRACT, device rule 5).
    if (!this.offeredTo(release.device, request)?.equals(release)) this.downloads.demand();
    this.downloads.begin();
    const download = new Download(
      response,
      (bytes) => {
        this.meter.sent(bytes);
      },
      (complete) => {
        this.downloads.end();
        this.meter.ended(complete ? 'complete' : 'broken_off');
        if (complete) delivered?.(answer.lengthBytes, hasLastByte(answer));
      },
    );
    const answer = answerOf(ranges, release.firmware.sizeBytes, answers, extra);
    const lease = this.leaseOf(release, download);
    if (lease?.bytes?.length === answer.sizeBytes && !answer.separators)
      sendOneRange(lease.bytes, answer, response, download);
    else
      this.sendFromStore(release, lease, answer, response, download).catch((error: unknown) => {
        if (!download.isOver) this.refuse(response, error, release.device);
      });
  }

  private leaseOf(release: Deliverable, download: Download): Lease | undefined {
    const lease = this.releases.open(release);
    if (lease)
      download.onEnd(() => {
        lease.release();
      });
    return lease;
  }

  /**
   * Sends from disk. Nothing is sent before the first bytes were read, because the release can still be restored until
   * then.
   */
  private async sendFromStore(
    release: Deliverable,
    known: Lease | undefined,
    answer: Answer,
    response: ServerResponse,
    download: Download,
  ): Promise<void> {
    let lease = known;
    for (let tries = 1; !download.isOver; tries++) {
      try {
        if (lease) {
          demandSize(lease, answer);
          await sendRanges(lease, answer, response, download);
          return;
        }
      } catch (error) {
        if (isOver(download)) return;
        this.logger.error({
          event: 'firmware.read_failed',
          device: release.device,
          version: release.version,
          ...explained(error),
        });
        if (response.headersSent || tries >= MAX_TRIES)
          throw OtaError.from(
            error,
            'unavailable',
            `${release.device} ${release.version} cannot be read from the cache`,
          );
      }
      await withPatience(Promise.resolve(this.releases.deliverable(release)));
      lease = this.leaseOf(release, download);
      if (!lease && tries >= MAX_TRIES)
        throw new OtaError(
          'unavailable',
          `${release.device} ${release.version} was removed from the cache while it was sent. Raise --cache-memory or --cache-disk`,
        );
    }
  }
}

/** Returns the unit that a query names, if it names one: other requests must not pay for the search. */
const unitIn = (query: string): string | undefined => (query.includes('unit=') ? parameter(query, 'unit') : undefined);

/** Read again after a wait: the compiler assumes that it has not changed. */
const isOver = (download: Download): boolean => download.isOver;

function hasLastByte({ ranges, sizeBytes }: Answer): boolean {
  return ranges.some(({ end }) => end === sizeBytes - 1);
}

function demandSize({ bytes }: Lease, { sizeBytes }: Answer): void {
  if (bytes && bytes.length !== sizeBytes)
    throw new OtaError(
      'unavailable',
      `the firmware store has ${bytes.length} bytes of the firmware, expected ${sizeBytes}. This is an error in the store`,
    );
}
