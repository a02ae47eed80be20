import { Injectable } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { Settings } from '../../config/index.js';
import {
  answerRefusal,
  Delivery,
  DeviceRefusal,
  invalidUnit,
  Links,
  methodNotAllowed,
  parameter,
  type DeviceRequest,
} from '../../delivery/index.js';
import type { Release } from '../../firmware/index.js';
import { Fleet } from '../../fleet/index.js';
import { isUnitName, printable, type Identity } from '../../identity.js';
import type { Ask } from '../ask.js';
import { demandProduct } from '../demand-product.js';
import { DeviceProtocol, type Match } from '../device-protocol.js';
import { productInPath } from '../in-path.js';
import { Offers, type Offer } from '../offers.js';
import { pinnedIn, pinnedPath, pinnedRelease, type PinnedRoute } from '../pinned-file.js';
import { PollIntervals } from '../poll-intervals.js';
import { logLineIn } from './log-line.js';

const PROTOCOL = 'swupdate';
const FILE: PinnedRoute = { folder: '/swupdate/', suffix: '.swu' };
const LOG = '/log';
const ROUTES = { poll: '/swupdate/:product', log: '/swupdate/:product/log', file: '/swupdate/:product/:version.swu' };

/** Downloads that were noticed by one sign. The oldest are forgotten first. */
const MAX_BEGUN = 10_000;

/**
 * SWUpdate with `-S general`. It sends what it is in the query, which its configuration names freely, and follows a 302 to
 * the image. 404 means that there is no update. It obeys `Retry-After` on every answer, but only if the name is spelled so.
 * It sends its log as a line of text.
 *
 * Source: swupdate suricatta/server_general.c at 8164b9b.
 */
@Injectable()
export class SwupdateProtocol extends DeviceProtocol {
  private readonly intervals: PollIntervals;
  /** How the beginning of a download was noticed. The request and the line of the log come in either order. */
  private readonly begun = new Map<string, 'request' | 'log'>();

  constructor(
    private readonly delivery: Delivery,
    private readonly offers: Offers,
    private readonly fleet: Fleet,
    private readonly links: Links,
    { pollInterval }: Settings,
  ) {
    super();
    this.intervals = new PollIntervals(pollInterval);
  }

  override match(method: string, path: string): Match | undefined {
    if (!path.startsWith(FILE.folder)) return undefined;
    const file = pinnedIn(path, FILE);
    if (file) return { route: ROUTES.file, params: { ...file } };
    if (path.endsWith(LOG) && method !== 'GET' && method !== 'HEAD')
      return { route: ROUTES.log, params: { log: path.slice(FILE.folder.length, -LOG.length) }, takesBody: true };
    return { route: ROUTES.poll, params: { product: path.slice(FILE.folder.length) } };
  }

  override identify({ method, query, params, body }: DeviceRequest): Ask {
    const { log, version } = params;
    if (log !== undefined) {
      if (method !== 'PUT') throw methodNotAllowed('PUT');
      return { product: productInPath(log), unit: unitIn(query) ?? printable(logLineIn(body).unit) };
    }
    if (method !== 'GET' && method !== 'HEAD') throw methodNotAllowed();
    const ask = { product: productInPath(params.product ?? ''), unit: unitIn(query) };
    if (version !== undefined) return ask;
    return {
      ...ask,
      running: firstOf(query, 'running', 'version', 'sw_version'),
      hardware: hardwareIn(query),
      channel: firstOf(query, 'channel'),
    };
  }

  override handle(ask: Ask, request: DeviceRequest, response: ServerResponse): void | Promise<void> {
    if (request.params.log !== undefined) return this.log(ask, request, response);
    if (request.params.version !== undefined) return this.send(ask, request, response);
    // SWUpdate would download and fail again at every poll.
    const offer = this.offers.of(ask, request, { protocol: PROTOCOL, oncePerRelease: true, ignoresRunning: true });
    if (offer instanceof Promise)
      return offer.then((found) => {
        this.answer(found, ask, request, response);
      });
    this.answer(offer, ask, request, response);
  }

  /** Every answer carries `Retry-After`, so that SWUpdate does not keep the short one of a busy server. */
  override refuse({ status, body, headers, reason }: DeviceRefusal, response: ServerResponse): void {
    const complete = headers.includes('Retry-After') ? headers : [...headers, ...this.retryAfter('')];
    answerRefusal(new DeviceRefusal(status, body, complete, reason), response);
  }

  private answer({ release, withheld }: Offer, ask: Ask, request: DeviceRequest, response: ServerResponse): void {
    const wait = this.retryAfter(ask.product);
    if (withheld) throw new DeviceRefusal(404, `No update for ${ask.product}`, wait);
    const path = pinnedPath(release, FILE, ask, this.links);
    const headers = ['Location', this.links.absolute(request, path), 'Content-Length', '0', ...wait];
    response.writeHead(302, headers).end();
  }

  private send(ask: Ask, request: DeviceRequest, response: ServerResponse): void | Promise<void> {
    const release = pinnedRelease(this.delivery, ask.product, request);
    const { method, raw } = request;
    const send = (found: Release): void => {
      if (method === 'GET' && raw.headers.range === undefined) this.downloading(ask, found, 'request');
      this.delivery.send(found, request, response, undefined, undefined, (_bytes, isEnd) => {
        if (isEnd) this.fleet.downloaded(ask, PROTOCOL, found);
      });
    };
    if (release instanceof Promise) return release.then(send);
    send(release);
  }

  /** Tells that a download has begun, unless it was noticed already by the other sign. */
  private downloading(ask: Identity, release: Release, by: 'request' | 'log'): void {
    const key = `${ask.product} ${release.version} ${ask.unit ?? ''}`;
    const before = this.begun.get(key);
    this.begun.delete(key);
    if (before !== undefined && before !== by) return;
    this.fleet.downloading(ask, PROTOCOL, release);
    if (ask.unit !== undefined) this.begun.set(key, by);
    const [oldest] = this.begun.keys();
    if (oldest !== undefined && this.begun.size > MAX_BEGUN) this.begun.delete(oldest);
  }

  /** Answers 204 when the event is stored. A line without a unit is read, but tells nothing of anybody. */
  private async log({ product, unit }: Ask, request: DeviceRequest, response: ServerResponse): Promise<void> {
    const { event, text } = logLineIn(request.body);
    const release = await demandProduct(this.delivery, product, request);
    if (unit !== undefined) {
      const identity = { product, unit };
      if (event === 'started' && release) this.downloading(identity, release, 'log');
      else if (event === 'success') await this.fleet.report(identity, PROTOCOL, { outcome: 'installed' });
      else if (event === 'fail') await this.fleet.report(identity, PROTOCOL, { outcome: 'failed', message: text });
    }
    response.writeHead(204).end();
  }

  /** The name of the header is compared with its case (CONTRACT, "Protocols"). */
  private retryAfter(product: string): readonly string[] {
    return ['Retry-After', String(this.intervals.secondsOf(product))];
  }
}

function unitIn(query: string): string | undefined {
  for (const name of ['unit', 'serial', 'id']) {
    const unit = parameter(query, name);
    if (unit === undefined) continue;
    if (!isUnitName(unit)) throw invalidUnit();
    return unit;
  }
  return undefined;
}

/** Returns the board and its revision, as `swupdate -H` takes them: `board:1.0`. */
function hardwareIn(query: string): string | undefined {
  const hardware = firstOf(query, 'hardware');
  if (hardware !== undefined) return hardware;
  const parts = [firstOf(query, 'board'), firstOf(query, 'hwrev')].filter((part) => part !== undefined);
  return parts.length === 0 ? undefined : parts.join(':');
}

function firstOf(query: string, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = printable(parameter(query, name));
    if (value !== undefined) return value;
  }
  return undefined;
}
