import { Logger } from '@nestjs/common';
import picomatch from 'picomatch';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { z } from 'zod';
import { parseYaml } from '../../config/yaml.js';
import { Reloaded } from '../../reloaded.js';
import type { DeviceRequest } from '../../delivery/index.js';
import { DeviceAuthenticator, type Access } from './device-authenticator.js';

/** Names of certificates, and the devices (ids or globs) that each may speak for. */
type DeviceMap = ReadonlyMap<string, (device: string) => boolean>;

const mapSchema = z.record(z.string(), z.union([z.string(), z.array(z.string())]));

/**
 * The certificate that the handshake verified: its common name or one of its subject alternative names (DNS or URI) is
 * the device, or TLS_DEVICE_MAP gives it others, as to a gateway.
 */
export class ClientCertificates extends DeviceAuthenticator {
  private readonly map: Reloaded<DeviceMap> | undefined;
  /** A certificate is taken apart once a connection. */
  private readonly names = new WeakMap<object, readonly string[]>();

  /** Throws ConfigError when the map cannot be read. */
  constructor(mapPath: string | undefined) {
    super();
    this.map =
      mapPath === undefined
        ? undefined
        : new Reloaded('--tls-device-map', [mapPath], parseMap, new Logger('ClientCertificates'));
  }

  override accessOf({ raw }: DeviceRequest, device: string): Access {
    const names = this.namesOf(raw.socket as TLSSocket);
    if (names.length === 0) return 'unknown';
    const map = this.map?.current;
    return names.some((name) => name === device || map?.get(name)?.(device)) ? 'allowed' : 'other';
  }

  override close(): void {
    this.map?.stop();
  }

  private namesOf(socket: TLSSocket): readonly string[] {
    let names = this.names.get(socket);
    if (!names) {
      // Without TLS_CLIENT_CA_PATH nobody has verified it.
      names = socket.authorized ? namesIn(socket.getPeerCertificate()) : [];
      this.names.set(socket, names);
    }
    return names;
  }
}

/** Node writes `DNS:a, URI:b`, and puts in quotes what could be taken for more than one entry: no device id needs them. */
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
  return new Map(
    Object.entries(result.data).map(([name, devices]) => [name, picomatch([devices].flat(), { dot: true })]),
  );
}
