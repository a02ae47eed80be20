import { Injectable, Logger } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import {
  answerRefusal,
  Delivery,
  DeviceRefusal,
  Links,
  methodNotAllowed,
  noFirmware,
  parameter,
  type DeviceRequest,
} from '../../delivery/index.js';
import type { Image, Release, StoredImage } from '../../firmware/index.js';
import { Fleet } from '../../fleet/index.js';
import type { Ask } from '../ask.js';
import { DeviceProtocol, type Match } from '../device-protocol.js';
import { decoded, productInPath } from '../in-path.js';
import { Offers, type Offer } from '../offers.js';
import { pinnedIn, pinnedPath, type PinnedRoute } from '../pinned-file.js';
import { saidIn } from '../said.js';
import { buildsOf, candidatesOf, CHIP_FAMILY, type Build } from './builds.js';
import { manifestOf } from './manifest.js';

const PROTOCOL = 'esphome';
const FILE: PinnedRoute = { folder: '/esphome/', suffix: '.bin' };
const MANIFEST = '/manifest.json';
const ROUTES = { manifest: '/esphome/:product/manifest.json', file: '/esphome/:product/:version.bin' };

/** A page of any site may read manifests and firmware: ESP Web Tools runs in the browser. No cookies are involved. */
const CORS = ['Access-Control-Allow-Origin', '*'] as const;
const PREFLIGHT = [
  ...CORS,
  'Access-Control-Allow-Methods',
  'GET, HEAD',
  'Access-Control-Allow-Headers',
  'Authorization, Range',
  'Access-Control-Max-Age',
  '86400',
] as const;

/** Products of which the log says once that no image has a chip. */
const MAX_WARNED = 1_000;

/**
 * The manifest that ESPHome's `update: platform: http_request` and ESP Web Tools read, and the firmware in it. ESPHome wants
 * status 200, a Content-Length and an MD5. It compares the versions itself.
 *
 * Sources: esphome http_request_update.cpp at 2026.6.5, esp-web-tools README.
 */
@Injectable()
export class EsphomeProtocol extends DeviceProtocol {
  private readonly logger = new Logger('EsphomeProtocol');
  private readonly builds = new WeakMap<Release, readonly Build[]>();
  private readonly examining = new WeakMap<Release, Promise<readonly Build[]>>();
  private readonly warned = new Set<string>();

  constructor(
    private readonly delivery: Delivery,
    private readonly offers: Offers,
    private readonly fleet: Fleet,
    private readonly links: Links,
  ) {
    super();
  }

  override match(method: string, path: string): Match | undefined {
    if (!path.startsWith(FILE.folder)) return undefined;
    // Browsers send no credentials with the question whether they may ask.
    const isLogin = method === 'OPTIONS';
    if (path.endsWith(MANIFEST))
      return { route: ROUTES.manifest, params: { product: path.slice(FILE.folder.length, -MANIFEST.length) }, isLogin };
    const file = pinnedIn(path, FILE);
    return file && { route: ROUTES.file, params: { ...file }, isLogin };
  }

  override identify({ method, query, params }: DeviceRequest): Ask {
    if (method !== 'GET' && method !== 'HEAD') throw methodNotAllowed();
    return { product: productInPath(params.product ?? ''), ...saidIn(query) };
  }

  override login(_request: DeviceRequest, response: ServerResponse): void {
    response.writeHead(204, PREFLIGHT as unknown as string[]).end();
  }

  override handle(ask: Ask, request: DeviceRequest, response: ServerResponse): void | Promise<void> {
    if (request.params.version !== undefined) return this.sendFile(ask, request, response);
    const offer = this.offers.of(ask, request, {
      protocol: PROTOCOL,
      // The client takes the build for its chip.
      bytesOf: async (release) => {
        const builds = await this.buildsOf(release);
        return builds.length === 0 ? [release] : builds.map(({ image }) => image);
      },
    });
    if (offer instanceof Promise) return this.answerLater(offer, ask, response);
    const builds = offer.release && this.builds.get(offer.release);
    if (!offer.release || !builds) return this.answerLater(offer, ask, response);
    this.answer(offer, offer.release, builds, ask, response);
  }

  override refuse({ status, body, headers, reason }: DeviceRefusal, response: ServerResponse): void {
    answerRefusal(new DeviceRefusal(status, body, [...headers, ...CORS], reason), response);
  }

  private async answerLater(pending: Offer | Promise<Offer>, ask: Ask, response: ServerResponse): Promise<void> {
    const offer = await pending;
    if (!offer.release) throw noFirmware(ask.product);
    this.answer(offer, offer.release, await this.buildsOf(offer.release), ask, response);
  }

  private answer(
    { withheld }: Offer,
    release: Release,
    builds: readonly Build[],
    ask: Ask,
    response: ServerResponse,
  ): void {
    if (builds.length === 0) throw noChip(release);
    const path = ({ digest }: Image): string =>
      // ESPHome takes a path that contains "http" for a complete URL.
      pinnedPath(release, FILE, ask, this.links, `file=${digest}`).replaceAll('http', '%68ttp');
    const body = JSON.stringify(manifestOf({ release, withheld }, builds, ask, path));
    const length = String(Buffer.byteLength(body));
    const type = ['Content-Type', 'application/json', 'Content-Length', length, 'Cache-Control', 'no-cache'];
    response.writeHead(200, [...type, ...CORS]).end(body);
  }

  private buildsOf(release: Release): readonly Build[] | Promise<readonly Build[]> {
    return this.builds.get(release) ?? this.examineOnce(release);
  }

  private examineOnce(release: Release): Promise<readonly Build[]> {
    let running = this.examining.get(release);
    if (!running) {
      running = this.examine(release).finally(() => this.examining.delete(release));
      this.examining.set(release, running);
    }
    return running;
  }

  /**
   * Returns the builds of `release`. All images are downloaded, because the manifest contains their MD5. One that cannot be
   * downloaded now is left out, and tried again at the next request. Rejects if none can.
   */
  private async examine(release: Release): Promise<readonly Build[]> {
    const results = await Promise.allSettled(
      candidatesOf(release).map(async (candidate) => this.delivery.image(release, candidate.digest)),
    );
    const [failed] = results.filter((result) => result.status === 'rejected');
    const found = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    if (failed && found.length === 0) throw failed.reason;
    const builds = buildsOf(release, found, failed !== undefined);
    if (!failed) this.builds.set(release, builds);
    if (builds.length === 0) this.warn(release);
    return builds;
  }

  private sendFile(ask: Ask, request: DeviceRequest, response: ServerResponse): void | Promise<void> {
    const { product } = ask;
    const version = decoded(request.params.version ?? '');
    const file = parameter(request.query, 'file');
    const image =
      file === undefined
        ? this.delivery.wanted(product, request, version)
        : this.delivery.wantedImage(product, request, file, version);
    const send = (found: Release | StoredImage): void => {
      if (request.method === 'GET' && request.raw.headers.range === undefined)
        this.fleet.downloading(ask, PROTOCOL, found);
      this.delivery.send(found, request, response, CORS, undefined, (_bytes, isEnd) => {
        if (isEnd) this.fleet.downloaded(ask, PROTOCOL, found);
      });
    };
    if (image instanceof Promise) return image.then(send);
    send(image);
  }

  private warn({ device, version }: Release): void {
    const key = `${device} ${version}`;
    if (this.warned.has(key)) return;
    if (this.warned.size >= MAX_WARNED) this.warned.clear();
    this.warned.add(key);
    this.logger.warn({
      event: 'esphome.no_chip',
      device,
      version,
      reason: `no file of the release begins with the header of an image for the ESP32 or ESP8266, so ESPHome cannot install it. Push the .ota.bin file, or set the annotation ${CHIP_FAMILY}, for example to ESP8266`,
    });
  }
}

const noChip = ({ device, version }: Release): DeviceRefusal =>
  new DeviceRefusal(404, `${device} ${version} has no image for a known chip. Set the annotation ${CHIP_FAMILY}`);
