import { Logger } from '@nestjs/common';
import picomatch from 'picomatch';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { z } from 'zod';
import { parseYaml } from '../../config/yaml.js';
import { Reloaded } from '../../reloaded.js';
import type { DeviceRequest } from '../../delivery/index.js';
import type { Identity } from '../../protocols/index.js';
import { covers, grantIn, isUnit } from './grant.js';
import { DeviceAuthenticator, type Access } from './device-authenticator.js';

/** Names of certificates, and the devices (ids or globs) for which each is valid. */
type DeviceMap = ReadonlyMap<string, (identity: Identity) => boolean>;

const mapSchema = z.record(z.string(), z.union([z.string(), z.array(z.string())]));

/**
 * Authenticates a device by the client certificate that the handshake verified. The common name or one of the subject
 * alternative names (DNS or URI) must be the device id, or `DEVICE#UNIT` for one unit, or TLS_DEVICE_MAP must assign the device to the certificate, as
 * for a gateway.
 */
export class ClientCertificates extends DeviceAuthenticator {
  private readonly map: Reloaded<DeviceMap> | undefined;
  /** The names of a certificate are parsed once for each connection. */
  private readonly names = new WeakMap<object, readonly string[]>();

  /** Throws ConfigError if the map cannot be read. */
  constructor(mapPath: string | undefined) {
    super();
    this.map =
      mapPath === undefined
        ? undefined
        : new Reloaded('--tls-device-map', [mapPath], parseMap, new Logger('ClientCertificates'));
  }

  override accessOf({ raw }: DeviceRequest, identity: Identity): Access {
    const names = this.namesOf(raw.socket as TLSSocket);
    if (names.length === 0) return 'unknown';
    const map = this.map?.current;
    return names.some((name) => covers(grantIn(name), identity) || map?.get(name)?.(identity)) ? 'allowed' : 'other';
  }

  override close(): void {
    this.map?.stop();
  }

  private namesOf(socket: TLSSocket): readonly string[] {
    let names = this.names.get(socket);
    if (!names) {
      // Without TLS_CLIENT_CA_PATH, the certificate was not verified.
      names = socket.authorized ? namesIn(socket.getPeerCertificate()) : [];
      this.names.set(socket, names);
    }
    return names;
  }
}

/**
 * Parses `DNS:a, URI:b` as written by Node. Node quotes names that could be taken for several entries. No device id
 * needs quotes.
 */
const ALTERNATIVE_NAME = /(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)/g;

function namesIn({ subject, subjectaltname = '' }: PeerCertificate): string[] {
  const alternative = [...subjectaltname.matchAll(ALTERNATIVE_NAME)]
    .filter(([, kind, name = '']) => (kind === 'DNS' || kind === 'URI') && name && !name.startsWith('"'))
    .map(([, , name = '']) => name);
  // A certificate may have no common name, or several.
  const { CN: common = [] } = subject as Partial<Record<'CN', string | string[]>>;
  return [common, alternative].flat();
}

function parseMap(text: string): DeviceMap {
  const result = mapSchema.safeParse(parseYaml(text) ?? {});
  if (!result.success)
    throw new Error('expected a YAML map of certificate names to device ids or globs, such as gateway-1: ["line-1/*"]');
  return new Map(Object.entries(result.data).map(([name, devices]) => [name, matcherOf([devices].flat())]));
}

/** Each entry is a device id, a glob of device ids, or one of these followed by `#UNIT`. */
function matcherOf(devices: readonly string[]): (identity: Identity) => boolean {
  const matchers = devices.map((device) => {
    const { product, unit } = grantIn(device);
    return { matches: picomatch(product, { dot: true }), unit };
  });
  return (identity) => matchers.some(({ matches, unit }) => matches(identity.product) && isUnit(unit, identity));
}
