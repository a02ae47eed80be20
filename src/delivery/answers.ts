import type { ServerResponse } from 'node:http';
import { OtaError } from '../errors.js';
import type { Release } from '../firmware/index.js';
import { whyNoDeviceId } from '../repository-name.js';

/** A refusal: an unsuccessful response, with the body that devices and dashboards expect. */
export class DeviceRefusal extends Error {
  constructor(
    readonly status: number,
    /** One line for the device, without internals. */
    readonly body: string,
    readonly headers: readonly string[] = [],
    /** One sentence for the log, if it says more than the body. */
    readonly reason?: string,
  ) {
    super(body);
    this.name = 'DeviceRefusal';
  }
}

/** Files of a release that a refusal names. */
const MAX_NAMED = 10;
/** Characters of a requested title that a refusal repeats. */
const MAX_FILE = 100;

/** Range of `Retry-After`: 5 to 15 s, so that devices do not return at the same time. */
const MIN_RETRY_AFTER_S = 5;
const RETRY_AFTER_SPREAD_S = 11;

export const missingDevice = (): DeviceRefusal => new DeviceRefusal(400, "Missing required query parameter: 'device'");
export const invalidDevice = (device: string): DeviceRefusal =>
  new DeviceRefusal(
    400,
    `Invalid device id: ${whyNoDeviceId(device)}. See https://github.com/otaflux/otaflux/blob/main/docs/devices.md`,
  );
export const invalidUnit = (): DeviceRefusal =>
  new DeviceRefusal(400, 'Invalid unit: expected 1 to 128 printable characters, such as a serial number');
export const missingUnit = (): DeviceRefusal => new DeviceRefusal(400, "Missing required query parameter: 'unit'");
export const badBody = (why: string, status = 400): DeviceRefusal =>
  new DeviceRefusal(status, `Bad request body: ${why}`);
export const bodyTooLarge = (maxBytes: number): DeviceRefusal =>
  new DeviceRefusal(413, `Request body too large: send at most ${maxBytes / 1024} KiB`);
export const unsupportedBody = (): DeviceRefusal =>
  new DeviceRefusal(415, 'Unsupported request body: send it without Content-Encoding');
export const methodNotAllowed = (...allowed: readonly string[]): DeviceRefusal => {
  const methods = allowed.length > 0 ? allowed : ['GET', 'HEAD'];
  return new DeviceRefusal(405, `Method not allowed. Use ${methods.join(' or ')}`, ['Allow', methods.join(', ')]);
};
export const unauthorized = (): DeviceRefusal =>
  new DeviceRefusal(
    401,
    'Unauthorized: send valid credentials',
    ['WWW-Authenticate', 'Bearer realm="otaflux"'],
    'the request has no valid credentials. See https://github.com/otaflux/otaflux/blob/main/docs/access.md',
  );
export const forbidden = (): DeviceRefusal =>
  new DeviceRefusal(
    403,
    'Forbidden: the credentials are for another device',
    [],
    'the credentials are valid, but not for this device. See https://github.com/otaflux/otaflux/blob/main/docs/access.md',
  );
/** The answer to a request that came past the proxy, in plain text. */
export const notByProxy = (): DeviceRefusal =>
  new DeviceRefusal(
    403,
    'Forbidden: this port has no TLS. Use the address of the proxy in front of it',
    [],
    'the request came over plain HTTP from an address that TRUST_PROXY does not list, which PRODUCTION forbids. See https://github.com/otaflux/otaflux/blob/main/docs/access.md',
  );
export const tooManyRequests = (waitMs: number, reason: string): DeviceRefusal =>
  new DeviceRefusal(
    429,
    'Too many requests, try again later',
    ['Retry-After', String(jitteredSeconds() + Math.ceil(waitMs / 1000))],
    reason,
  );
export const busy = (): DeviceRefusal =>
  new DeviceRefusal(503, 'Too many downloads, try again later', ['Retry-After', String(jitteredSeconds())]);
export const noFirmware = (device: string | undefined): DeviceRefusal =>
  new DeviceRefusal(404, device === undefined ? 'No firmware' : `No firmware for device '${device}'`);
export const noVersion = (device: string, version: string, current: string): DeviceRefusal =>
  new DeviceRefusal(404, `${device} has no version ${version}. The current version is ${current}.`);
/** The answer to a request for a version that a plan has stopped. */
export const stoppedVersion = (device: string, version: string, why: string): DeviceRefusal =>
  new DeviceRefusal(404, `${device} ${version} is not served any more: ${why}`);
/** The answer to a request for another file of a release. */
export const noFile = ({ device, version, images }: Release, file: string): DeviceRefusal => {
  const titles = images.slice(0, MAX_NAMED).map(({ title }) => title);
  const more = images.length > MAX_NAMED ? ` and ${images.length - MAX_NAMED} more` : '';
  return new DeviceRefusal(
    404,
    `${device} ${version} has no file ${JSON.stringify(file.slice(0, MAX_FILE))}. It has ${titles.join(', ')}${more}`,
  );
};
export const wrongRegistry = (): DeviceRefusal =>
  new DeviceRefusal(502, 'The registry refused the request or gave a wrong answer. The log of the server says why');
export const internalError = (): DeviceRefusal =>
  new DeviceRefusal(500, 'Internal error. The log of the server says why');
export const preconditionFailed = (): DeviceRefusal =>
  new DeviceRefusal(412, 'Precondition failed: the firmware has changed. Start the download again');
export const rangeNotSatisfiable = (sizeBytes: number): DeviceRefusal =>
  new DeviceRefusal(416, 'Range not satisfiable: it begins after the last byte. Start the download again', [
    'Content-Range',
    `bytes */${sizeBytes}`,
  ]);
export const tryLater = (): DeviceRefusal =>
  new DeviceRefusal(503, 'Temporarily unavailable, try again later', ['Retry-After', String(jitteredSeconds())]);

function jitteredSeconds(): number {
  return MIN_RETRY_AFTER_S + Math.floor(Math.random() * RETRY_AFTER_SPREAD_S);
}

/**
 * Returns the refusal for an error. This is the only mapping from errors to statuses (CONTRACT, "Device endpoints").
 */
export function refusalOf(error: unknown, device: string | undefined): DeviceRefusal {
  if (error instanceof DeviceRefusal) return error;
  if (!(error instanceof OtaError)) return internalError();
  switch (error.code) {
    case 'absent':
    case 'untrusted':
      return noFirmware(device);
    case 'denied':
    case 'protocol':
      return wrongRegistry();
    case 'unavailable':
      return tryLater();
  }
}

/**
 * Sends a refusal and closes the connection, because the ESP32 client has no other way to find the end of the response.
 */
export function answerRefusal({ status, body, headers }: DeviceRefusal, response: ServerResponse): void {
  response.writeHead(status, [
    'Content-Type',
    'text/plain; charset=utf-8',
    'Content-Length',
    String(Buffer.byteLength(body)),
    'Connection',
    'close',
    ...headers,
  ]);
  response.end(body);
}
