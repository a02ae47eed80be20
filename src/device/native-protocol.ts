import { Injectable } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { ReleaseService, type Release } from '../firmware/index.js';
import { HttpMeter } from '../metrics/index.js';
import { Limits } from './limits/limits.js';
import { methodNotAllowed, noFirmware, refusalOf, refuse } from './answers.js';
import { DeviceProtocol, type DeviceRequest } from './device-protocol.js';
import { FirmwareSender } from './firmware-sender.js';
import { withPatience } from './patience.js';
import { prepare } from './prepared.js';
import { deviceIn, parameter } from './query.js';
import { ToldReleases } from './told-releases.js';

/** The protocol of the Rust OtaFlux and its ESP32 client: `/version`, then `/firmware` (CONTRACT, "Device endpoints"). */
@Injectable()
export class NativeProtocol extends DeviceProtocol {
  private readonly told = new ToldReleases();
  private readonly sender: FirmwareSender;

  constructor(
    private readonly releases: ReleaseService,
    private readonly limits: Limits,
    meter: HttpMeter,
  ) {
    super();
    this.sender = new FirmwareSender(releases, limits, meter.route('/firmware'));
  }

  override match(_method: string, path: string): boolean {
    return path === '/version' || path === '/firmware';
  }

  override handle(request: DeviceRequest, response: ServerResponse): void | Promise<void> {
    if (request.method !== 'GET' && request.method !== 'HEAD') throw methodNotAllowed();
    const device = deviceIn(request.query);
    try {
      const outcome =
        request.path === '/version'
          ? this.version(device, request, response)
          : this.firmware(device, request, response);
      return outcome?.catch((error: unknown) => {
        refuse(response, refusalOf(error, device));
      });
    } catch (error) {
      throw refusalOf(error, device);
    }
  }

  /** Without a promise when the release is known and its bytes are here: the way that is gone millions of times. */
  private version(device: string, request: DeviceRequest, response: ServerResponse): void | Promise<void> {
    // A device that is told a version comes for it: better told to come back than left waiting.
    this.limits.demandDownload();
    const release = this.releases.current(device, request.receivedAtMs);
    if (release instanceof Promise) return this.versionLater(release, request, response);
    const bytes = this.releases.deliverable(release);
    if (bytes)
      return this.versionLater(
        bytes.then(() => release),
        request,
        response,
      );
    this.tell(release, request, response);
  }

  private async versionLater(
    release: Promise<Release>,
    request: DeviceRequest,
    response: ServerResponse,
  ): Promise<void> {
    this.tell(await withPatience(release), request, response);
  }

  private tell(release: Release, { raw, receivedAtMs }: DeviceRequest, response: ServerResponse): void {
    this.releases.told(release, receivedAtMs);
    this.told.tell(raw.socket, release, receivedAtMs);
    const answers = prepare(release);
    const { body, headers } = wantsJson(raw.rawHeaders) ? answers.json : answers.version;
    // Headers and a body of text leave in one write: the seed's client misreads a size that is cut in two.
    response.writeHead(200, headers as string[]).end(body, 'latin1');
  }

  private firmware(device: string, request: DeviceRequest, response: ServerResponse): void | Promise<void> {
    const release = this.wanted(device, request);
    if (release instanceof Promise) return this.firmwareLater(release, request, response);
    const bytes = this.releases.deliverable(release);
    if (bytes)
      return this.firmwareLater(
        bytes.then(() => release),
        request,
        response,
      );
    this.sender.send(release, request, response);
  }

  /** The version asked for, else what this connection was told, else what is current. */
  private wanted(device: string, { query, raw, receivedAtMs }: DeviceRequest): Release | Promise<Release> {
    const version = parameter(query, 'version');
    if (version === '') throw noFirmware(device);
    const told = this.told.toldTo(raw.socket, device, receivedAtMs);
    if (told && (version === undefined || told.version === version)) return told;
    this.limits.demandDownload();
    if (version !== undefined) return this.releases.exact(device, version);
    return this.releases.current(device, receivedAtMs);
  }

  private async firmwareLater(
    pending: Promise<Release>,
    request: DeviceRequest,
    response: ServerResponse,
  ): Promise<void> {
    const release = await withPatience(pending);
    await this.releases.deliverable(release);
    this.sender.send(release, request, response);
  }
}

/** Whether `Accept` names JSON. Read from the raw headers: devices send none, and no object of all headers is made for them. */
function wantsJson(rawHeaders: readonly string[]): boolean {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.length === 6 && rawHeaders[i]?.toLowerCase() === 'accept')
      return rawHeaders[i + 1]?.includes('application/json') ?? false;
  }
  return false;
}
