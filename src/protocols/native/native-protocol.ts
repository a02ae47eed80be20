import { Injectable } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { Delivery, deviceIn, methodNotAllowed, parameter, prepare, type DeviceRequest } from '../../delivery/index.js';
import type { Release } from '../../firmware/index.js';
import type { Ask } from '../ask.js';
import { DeviceProtocol, type Match } from '../device-protocol.js';
import { saidIn } from '../said.js';
import { firmwareRoute, productOfFile } from './firmware-route.js';

const VERSION: Match = { route: '/version' };
/** Part of a query that asks for another file of the release. */
const FILE = 'file=';

/**
 * The protocol of the Rust OtaFlux and its ESP32 client: `/version`, then `/firmware` (CONTRACT, "Device endpoints").
 */
@Injectable()
export class NativeProtocol extends DeviceProtocol {
  constructor(private readonly delivery: Delivery) {
    super();
  }

  override match(_method: string, path: string): Match | undefined {
    return path === VERSION.route ? VERSION : firmwareRoute(path);
  }

  override identify({ method, query, params: { file } }: DeviceRequest): Ask {
    if (method !== 'GET' && method !== 'HEAD') throw methodNotAllowed();
    const product = file === undefined ? deviceIn(query) : productOfFile(file);
    // Most devices send their product only.
    return query.includes('&') ? { product, ...saidIn(query) } : { product };
  }

  override handle({ product }: Ask, request: DeviceRequest, response: ServerResponse): void | Promise<void> {
    const isOffer = request.path === VERSION.route;
    if (!isOffer && request.query.includes(FILE)) return this.sendFile(product, request, response);
    const release = isOffer
      ? this.delivery.current(product, request)
      : this.delivery.wanted(product, request, parameter(request.query, 'version'));
    // Creates no promise and no closure if release and bytes are in memory, which is the normal case.
    if (release instanceof Promise)
      return release.then((found) => {
        this.answer(found, isOffer, request, response);
      });
    this.answer(release, isOffer, request, response);
  }

  /** Answers `&file=TITLE`, or like any other request if that is not a parameter. */
  private sendFile(product: string, request: DeviceRequest, response: ServerResponse): void | Promise<void> {
    const file = parameter(request.query, 'file');
    const version = parameter(request.query, 'version');
    const image =
      file === undefined
        ? this.delivery.wanted(product, request, version)
        : this.delivery.wantedImage(product, request, file, version);
    if (image instanceof Promise)
      return image.then((found) => {
        this.delivery.send(found, request, response);
      });
    this.delivery.send(image, request, response);
  }

  private answer(release: Release, isOffer: boolean, request: DeviceRequest, response: ServerResponse): void {
    if (isOffer) this.offer(release, request, response);
    else this.delivery.send(release, request, response);
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
