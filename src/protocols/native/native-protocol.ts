import { Injectable } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import {
  Delivery,
  deviceIn,
  methodNotAllowed,
  missingUnit,
  noFirmware,
  parameter,
  prepare,
  withPatience,
  type DeviceRequest,
} from '../../delivery/index.js';
import type { Release, StoredImage } from '../../firmware/index.js';
import { Fleet } from '../../fleet/index.js';
import type { Ask } from '../ask.js';
import { demandProduct } from '../demand-product.js';
import { DeviceProtocol, type Match } from '../device-protocol.js';
import { isSameVersion } from '../../semver.js';
import { hardwareMismatch, isGuarded } from '../guards.js';
import { Offers, type Offer } from '../offers.js';
import { saidIn } from '../said.js';
import { firmwareRoute, productOfFile } from './firmware-route.js';
import { reportIn } from './report.js';

const PROTOCOL = 'native';
const VERSION: Match = { route: '/version' };
const REPORT: Match = { route: '/report', takesBody: true, isReport: true };
/** Part of a query that may ask for another file of the release. */
const FILE = 'file=';

/**
 * The protocol of the Rust OtaFlux and its ESP32 client: `/version`, then `/firmware` (CONTRACT, "Device endpoints").
 */
@Injectable()
export class NativeProtocol extends DeviceProtocol {
  constructor(
    private readonly delivery: Delivery,
    private readonly fleet: Fleet,
    private readonly offers: Offers,
  ) {
    super();
  }

  override match(_method: string, path: string): Match | undefined {
    if (path === VERSION.route) return VERSION;
    return firmwareRoute(path) ?? (path === REPORT.route ? REPORT : undefined);
  }

  override identify({ method, path, query, params: { file } }: DeviceRequest): Ask {
    if (path === REPORT.route) {
      if (method !== 'POST') throw methodNotAllowed('POST');
    } else if (method !== 'GET' && method !== 'HEAD') throw methodNotAllowed();
    const product = file === undefined ? deviceIn(query) : productOfFile(file);
    // Most devices send their product only.
    return query.includes('&') ? { product, ...saidIn(query) } : { product };
  }

  override handle(ask: Ask, request: DeviceRequest, response: ServerResponse): void | Promise<void> {
    if (request.path === REPORT.route) return this.report(ask, request, response);
    const { product } = ask;
    const isOffer = request.path === VERSION.route;
    const file = !isOffer && request.query.includes(FILE) ? parameter(request.query, 'file') : undefined;
    if (file !== undefined) return this.sendFile(ask, file, request, response);
    const version = isOffer ? undefined : parameter(request.query, 'version');
    const release = isOffer
      ? this.offers.current(product, request)
      : version === undefined
        ? this.offers.ifAbsent(product, () => this.delivery.wanted(product, request))
        : this.delivery.wanted(product, request, version);
    // Creates no promise and no closure if release and bytes are in memory, which is the normal case.
    if (release instanceof Promise) return release.then((found) => this.unlessGuarded(found, ask, request, response));
    return this.unlessGuarded(release, ask, request, response);
  }

  private unlessGuarded(
    release: Release | undefined,
    ask: Ask,
    request: DeviceRequest,
    response: ServerResponse,
  ): void | Promise<void> {
    const isOffer = request.path === VERSION.route;
    if (!release || this.offers.isGuarded(release, ask)) return this.guarded(release, isOffer, ask, request, response);
    this.answer(release, isOffer, ask, request, response);
  }

  /** Answers with what the client may take, or with 404 if it may take nothing: it flashes whatever `/firmware` sends. */
  private guarded(
    current: Release | undefined,
    isOffer: boolean,
    ask: Ask,
    request: DeviceRequest,
    response: ServerResponse,
  ): void | Promise<void> {
    const isNamed = !isOffer && parameter(request.query, 'version') !== undefined;
    if (!isOffer && current && this.isOffered(current, ask, request)) {
      if (hardwareMismatch(current, ask.hardware)) throw noFirmware(ask.product);
      this.answer(current, false, ask, request, response);
      return;
    }
    const answer = ({ release, withheld }: Offer): void => {
      // A unit that is up to date is told the version that it runs.
      if (!release || (withheld !== undefined && withheld !== 'up-to-date')) {
        this.fleet.seen(ask, PROTOCOL);
        throw noFirmware(ask.product);
      }
      this.answer(release, isOffer, ask, request, response);
    };
    const offer = this.offers.guarded(current, ask, PROTOCOL, { isNamed });
    if (offer instanceof Promise) return offer.then(answer);
    answer(offer);
  }

  /** Returns whether the client was offered `release`: then it is delivered, though `/firmware` may not repeat what it runs. */
  private isOffered(release: Release, { product }: Ask, request: DeviceRequest): boolean {
    return this.delivery.offeredTo(product, request)?.equals(release) ?? false;
  }

  /** Answers `&file=TITLE`. */
  private sendFile(ask: Ask, file: string, request: DeviceRequest, response: ServerResponse): void | Promise<void> {
    const { product, unit, hardware } = ask;
    const version = parameter(request.query, 'version');
    const send = (image: StoredImage): void => {
      this.delivery.send(image, request, response);
    };
    const answer = (current: Release | undefined): void | Promise<void> => {
      if (
        !current ||
        this.offers.isPlanned(product) ||
        unit !== undefined ||
        hardware !== undefined ||
        isGuarded(current, hardware)
      )
        return this.guardedFile(current, file, ask, request).then(send);
      const image = this.delivery.image(current, file);
      if (image instanceof Promise) return image.then(send);
      send(image);
    };
    const release =
      version === undefined
        ? this.offers.ifAbsent(product, () => this.delivery.wantedRelease(product, request))
        : this.delivery.wantedRelease(product, request, version);
    return release instanceof Promise ? withPatience(release).then(answer) : answer(release);
  }

  /** Returns a file of what the client may take. Its own hardware counts, not that of the firmware. */
  private async guardedFile(
    current: Release | undefined,
    file: string,
    ask: Ask,
    request: DeviceRequest,
  ): Promise<StoredImage> {
    const isNamed = parameter(request.query, 'version') !== undefined;
    const bytesOf = async (release: Release): Promise<StoredImage[]> => [await this.delivery.image(release, file)];
    if (current && this.isOffered(current, ask, request)) {
      const image = await this.delivery.image(current, file);
      if (hardwareMismatch(image, ask.hardware)) throw noFirmware(ask.product);
      return image;
    }
    const { release, withheld } = await this.offers.guarded(current, ask, PROTOCOL, { isNamed, bytesOf });
    if (!release || (withheld !== undefined && withheld !== 'up-to-date')) throw noFirmware(ask.product);
    return this.delivery.image(release, file);
  }

  private answer(release: Release, isOffer: boolean, ask: Ask, request: DeviceRequest, response: ServerResponse): void {
    if (ask.unit !== undefined) this.tell(release, isOffer, ask, request);
    if (isOffer) this.offer(release, request, response);
    else
      this.delivery.send(release, request, response, undefined, undefined, (_bytes, isEnd) => {
        if (isEnd) this.fleet.downloaded(ask, PROTOCOL, release);
      });
  }

  private tell(release: Release, isOffer: boolean, ask: Ask, { method, raw }: DeviceRequest): void {
    if (!isOffer) {
      // A part of a download is no new download.
      if (method === 'GET' && raw.headers.range === undefined) this.fleet.downloading(ask, PROTOCOL, release);
      return;
    }
    this.fleet.seen(ask, PROTOCOL);
    if (!isSameVersion(ask.running, release.version)) this.offers.note(ask, PROTOCOL, release);
  }

  /** Answers 204 when the report is stored, so that it is not lost with this process. */
  private async report({ product, unit }: Ask, request: DeviceRequest, response: ServerResponse): Promise<void> {
    if (unit === undefined) throw missingUnit();
    const report = reportIn(request.body);
    await demandProduct(this.delivery, product, request);
    await this.fleet.report({ product, unit }, PROTOCOL, report);
    response.writeHead(204).end();
  }

  private offer(release: Release, request: DeviceRequest, response: ServerResponse): void {
    this.delivery.offer(release, request);
    const answers = prepare(release);
    const { body, headers } = wantsJson(request.raw.rawHeaders) ? answers.json : answers.version;
    // Headers and body are sent in one write: the ESP32 client misreads a size that arrives in two pieces.
    response.writeHead(200, headers as string[]).end(body, 'latin1');
  }
}

/**
 * Returns whether `Accept` contains JSON. It reads the raw headers, because devices send no `Accept`, and the object of
 * all headers would be built for nothing.
 */
function wantsJson(rawHeaders: readonly string[]): boolean {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.length === 6 && rawHeaders[i]?.toLowerCase() === 'accept')
      return rawHeaders[i + 1]?.includes('application/json') ?? false;
  }
  return false;
}
