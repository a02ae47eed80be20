import { Injectable } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  Delivery,
  evaluateConditions,
  Links,
  methodNotAllowed,
  prepare,
  type DeviceRequest,
} from '../../delivery/index.js';
import type { Release } from '../../firmware/index.js';
import { Fleet } from '../../fleet/index.js';
import { printable } from '../../identity.js';
import type { Ask } from '../ask.js';
import { DeviceProtocol, type Match } from '../device-protocol.js';
import { productInPath } from '../in-path.js';
import { Offers, type Offer } from '../offers.js';
import { pinnedIn, pinnedPath, pinnedRelease, type PinnedRoute } from '../pinned-file.js';
import { saidIn } from '../said.js';
import { Installs } from './installs.js';

const PROTOCOL = 'rauc';
const FILE: PinnedRoute = { folder: '/rauc/', suffix: '.raucb' };
const ROUTES = { poll: '/rauc/:product', file: '/rauc/:product/:version.raucb' };

/**
 * RAUC with an HTTP URL: `rauc install`, `rauc info`, and its polling. The first request says what the unit is, in
 * headers. It is redirected to the bundle of one version, and RAUC sends all further ranges to that address, on as many
 * connections as it likes (decision 55). 204 means that there is no update.
 *
 * Sources: rauc src/nbd.c, src/polling.c at 3991031.
 */
@Injectable()
export class RaucProtocol extends DeviceProtocol {
  private readonly installs = new Installs();

  constructor(
    private readonly delivery: Delivery,
    private readonly offers: Offers,
    private readonly fleet: Fleet,
    private readonly links: Links,
  ) {
    super();
  }

  override match(_method: string, path: string): Match | undefined {
    if (!path.startsWith(FILE.folder)) return undefined;
    const file = pinnedIn(path, FILE);
    if (file) return { route: ROUTES.file, params: { ...file } };
    return { route: ROUTES.poll, params: { product: path.slice(FILE.folder.length) } };
  }

  override identify({ method, query, params, raw }: DeviceRequest): Ask {
    if (method !== 'GET' && method !== 'HEAD') throw methodNotAllowed();
    const product = productInPath(params.product ?? '');
    const said = saidIn(query);
    // The ranges of a stream carry no headers of RAUC. The link says whose they are.
    if (params.version !== undefined) return { product, unit: said.unit };
    return {
      product,
      unit: headerOf(raw, 'rauc-serial') ?? said.unit,
      running: headerOf(raw, 'rauc-system-version') ?? said.running,
      hardware: headerOf(raw, 'rauc-variant') ?? said.hardware,
      channel: said.channel,
    };
  }

  override handle(ask: Ask, request: DeviceRequest, response: ServerResponse): void | Promise<void> {
    if (request.params.version !== undefined) {
      const release = pinnedRelease(this.delivery, ask.product, request);
      if (release instanceof Promise)
        return release.then((found) => {
          this.send(found, ask, request, response);
        });
      this.send(release, ask, request, response);
      return;
    }
    const offer = this.offers.of(ask, request, { protocol: PROTOCOL, oncePerRelease: true, ignoresRunning: true });
    if (offer instanceof Promise)
      return offer.then((found) => {
        this.answer(found, ask, request, response);
      });
    this.answer(offer, ask, request, response);
  }

  private send(release: Release, ask: Ask, request: DeviceRequest, response: ServerResponse): void {
    this.delivery.send(release, request, response, undefined, undefined, (bytes) => {
      if (this.installs.received(ask, release, bytes)) this.fleet.downloaded(ask, PROTOCOL, release);
    });
  }

  private answer({ release, withheld }: Offer, ask: Ask, request: DeviceRequest, response: ServerResponse): void {
    if (withheld) {
      response.writeHead(204).end();
      return;
    }
    const { validators, common } = prepare(release);
    // RAUC has seen this bundle: it compares the ETag of the bundle itself, and reads 304 before anything else.
    if (evaluateConditions(request.raw.headers, validators) === 'not-modified') {
      response.writeHead(304, common as string[]).end();
      return;
    }
    // Sent with an installation only.
    if (request.raw.headers['rauc-transaction-id'] !== undefined) {
      this.fleet.downloading(ask, PROTOCOL, release);
      this.installs.begin(ask, release);
    }
    const location = this.links.absolute(request, pinnedPath(release, FILE, ask, this.links));
    response.writeHead(302, ['Location', location, 'Content-Length', '0', 'Cache-Control', 'no-cache']).end();
  }
}

function headerOf({ headers }: IncomingMessage, name: string): string | undefined {
  return printable(headers[name]);
}
