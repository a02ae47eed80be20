import { Injectable } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Delivery, deviceIn, parameter, type DeviceRequest } from '../../delivery/index.js';
import type { Deliverable, Release } from '../../firmware/index.js';
import type { Ask } from '../ask.js';
import { DeviceProtocol, type Match } from '../device-protocol.js';
import { firmwareRoute, productOfFile } from '../native/firmware-route.js';
import { Fleet } from '../../fleet/index.js';
import { printable } from '../../identity.js';
import { isSameVersion } from '../../semver.js';
import { Offers, type Offer } from '../offers.js';
import { saidIn } from '../said.js';

const PROTOCOL = 'arduino';
const USER_AGENT = /^ESP(?:8266|32)-http-Update/i;
/** The names of both libraries differ in the chip only. */
const CHIPS = ['esp32', 'esp8266'] as const;
/** Tasmota adds the name of its build: `14.2.0(tasmota32)`. */
const BUILD = /\([^()]*\)$/;
/**
 * The file systems of each mode. The ESP8266 says `spiffs` for LittleFS, too, and the ESP32 says `flashfs` for whichever
 * its partition has.
 */
const FILE_SYSTEMS = {
  spiffs: ['spiffs', 'littlefs'],
  littlefs: ['littlefs'],
  fatfs: ['fatfs'],
  flashfs: ['flashfs', 'littlefs', 'spiffs', 'fatfs'],
} as const;

const headersOf = new WeakMap<Release, readonly string[]>();

/**
 * The update libraries of the Arduino cores: HTTPUpdate (ESP32) and ESP8266httpUpdate, and what is built on them, such as
 * Tasmota. They ask for `/firmware` at once, and say in headers what they run: 304 means that there is no update, for both
 * (204 is an error to the ESP8266). They check the download against `x-MD5`, the new ESP32 also against `x-SHA256`.
 *
 * Sources: arduino-esp32 HTTPUpdate.cpp at 0bc90bb, esp8266/Arduino ESP8266httpUpdate.cpp at f946290.
 */
@Injectable()
export class ArduinoProtocol extends DeviceProtocol {
  constructor(
    private readonly delivery: Delivery,
    private readonly fleet: Fleet,
    private readonly offers: Offers,
  ) {
    super();
  }

  override match(method: string, path: string, raw: IncomingMessage): Match | undefined {
    if (method !== 'GET') return undefined;
    const match = firmwareRoute(path);
    return match && isArduino(raw) ? match : undefined;
  }

  override identify({ query, params: { file }, raw }: DeviceRequest): Ask {
    const product = file === undefined ? deviceIn(query) : productOfFile(file);
    const said = saidIn(query);
    return {
      product,
      unit: printable(headerOf(raw, 'sta-mac')) ?? said.unit,
      running: printable(headerOf(raw, 'version')?.replace(BUILD, '')) ?? said.running,
      hardware: said.hardware ?? (isEsp8266(raw) ? 'ESP8266' : undefined),
      channel: said.channel,
    };
  }

  override handle(ask: Ask, request: DeviceRequest, response: ServerResponse): void | Promise<void> {
    const mode = headerOf(request.raw, 'mode')?.toLowerCase() ?? 'sketch';
    if (mode === 'version')
      return whenFound(this.offers.current(ask.product, request), (current) =>
        whenFound(this.guarded(current, ask), (release) => {
          if (release) this.offer(release, request, response);
          else response.writeHead(304).end();
        }),
      );
    if (mode !== 'sketch') return this.sendFileSystem(mode, ask, request, response);
    const version = parameter(request.query, 'version');
    const wanted =
      version === undefined
        ? this.offers.ifAbsent(ask.product, () => this.delivery.wanted(ask.product, request))
        : this.delivery.wanted(ask.product, request, version);
    return whenFound(wanted, (current) =>
      whenFound(this.guarded(current, ask, version !== undefined), (release) => {
        if (release) this.sendFirmware(release, ask, request, response);
        else response.writeHead(304).end();
      }),
    );
  }

  /**
   * Returns what the unit may take instead of `current`, or undefined if it may take nothing.
   *
   * @param isNamed whether it has asked for this version
   */
  private guarded(
    current: Release | undefined,
    ask: Ask,
    isNamed = false,
  ): Release | undefined | Promise<Release | undefined> {
    // Not before it is known that there is such a product.
    this.fleet.seen(ask, PROTOCOL);
    if (!this.offers.isGuarded(current, ask)) return current;
    const taken = ({ release, withheld }: Offer): Release | undefined =>
      withheld === undefined || withheld === 'up-to-date' ? release : undefined;
    const offer = this.offers.guarded(current, ask, PROTOCOL, { isNamed });
    return offer instanceof Promise ? offer.then(taken) : taken(offer);
  }

  private sendFirmware(release: Release, ask: Ask, request: DeviceRequest, response: ServerResponse): void {
    const headers = arduinoHeaders(release);
    if (runs(release, ask, request.raw)) {
      response.writeHead(304, headers as string[]).end();
      return;
    }
    // The answer to the question is the download itself.
    this.offers.note(ask, PROTOCOL, release);
    this.fleet.downloading(ask, PROTOCOL, release);
    this.delivery.send(release, request, response, headers, undefined, (_bytes, isEnd) => {
      if (isEnd) this.fleet.downloaded(ask, PROTOCOL, release);
    });
  }

  /**
   * Sends the image of a file system. Answers 304 if the release has none, because the firmware must not be flashed in
   * its place, or if the unit has the version of the release: no header has the MD5 of its file system.
   */
  private sendFileSystem(
    mode: string,
    ask: Ask,
    request: DeviceRequest,
    response: ServerResponse,
  ): void | Promise<void> {
    const version = parameter(request.query, 'version');
    const wanted =
      version === undefined
        ? this.offers.ifAbsent(ask.product, () => this.delivery.wantedRelease(ask.product, request))
        : this.delivery.wantedRelease(ask.product, request, version);
    return whenFound(wanted, (current) =>
      whenFound(this.guarded(current, ask, version !== undefined), (release) => {
        const title = release && titlesOf(mode).find((name) => release.image(name));
        if (!release || title === undefined || isSameVersion(ask.running, release.version)) {
          const version = (release ?? current)?.version;
          response.writeHead(304, version === undefined ? [] : ['x-version', version]).end();
          return;
        }
        return whenFound(this.delivery.image(release, title), (image) => {
          this.delivery.send(image, request, response, headersFor(image));
        });
      }),
    );
  }

  /** The answer to `getAvailableVersion()`, which reads `x-version` and no body. */
  private offer(release: Release, request: DeviceRequest, response: ServerResponse): void {
    this.delivery.offer(release, request);
    response.writeHead(200, [...arduinoHeaders(release), 'Content-Length', '0']).end();
  }
}

function isArduino(raw: IncomingMessage): boolean {
  return (
    USER_AGENT.test(raw.headers['user-agent'] ?? '') ||
    CHIPS.some((chip) => raw.headers[`x-${chip}-sketch-md5`] !== undefined)
  );
}

function isEsp8266({ headers }: IncomingMessage): boolean {
  return headers['x-esp8266-sketch-md5'] !== undefined || /^ESP8266-/i.test(headers['user-agent'] ?? '');
}

/** Returns the header `x-ESP32-NAME` or `x-ESP8266-NAME`. */
function headerOf({ headers }: IncomingMessage, name: string): string | undefined {
  for (const chip of CHIPS) {
    const value = headers[`x-${chip}-${name}`];
    if (typeof value === 'string' && value !== '') return value;
  }
  return undefined;
}

/** Returns whether the unit runs `release`, by the MD5 of its flash or by the version that its sketch names. */
function runs({ version, firmware }: Release, { running }: Ask, raw: IncomingMessage): boolean {
  if (headerOf(raw, 'sketch-md5')?.toLowerCase() === firmware.md5) return true;
  return isSameVersion(running, version);
}

function arduinoHeaders(release: Release): readonly string[] {
  let headers = headersOf.get(release);
  if (!headers) {
    headers = headersFor(release);
    headersOf.set(release, headers);
  }
  return headers;
}

function headersFor({ version, firmware }: Deliverable): readonly string[] {
  return ['x-MD5', firmware.md5, 'x-SHA256', firmware.sha256, 'x-version', version];
}

/** Returns the titles of images that fit the mode of an update, such as `littlefs.bin`. */
function titlesOf(mode: string): readonly string[] {
  const names = Object.hasOwn(FILE_SYSTEMS, mode) ? FILE_SYSTEMS[mode as keyof typeof FILE_SYSTEMS] : [];
  return names.flatMap((name) => [`${name}.bin`, name]);
}

function whenFound<T>(found: T | Promise<T>, answer: (found: T) => void | Promise<void>): void | Promise<void> {
  return found instanceof Promise ? found.then(answer) : answer(found);
}
