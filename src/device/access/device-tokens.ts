import { Logger } from '@nestjs/common';
import { Reloaded } from '../../reloaded.js';
import type { DeviceRequest } from '../../delivery/index.js';
import type { Identity } from '../../protocols/index.js';
import { hashToken } from './credentials.js';
import { DeviceAuthenticator, type Access } from './device-authenticator.js';

/** SHA-256 of each token, and the devices for which it is valid. */
type Tokens = ReadonlyMap<string, ReadonlySet<string>>;

const LINE = /^(\S+)\s+sha256:([0-9a-f]{64})$/;

/**
 * Authenticates a device by a token: `Authorization: Bearer TOKEN`, or Basic with the token as the password, or
 * `TargetToken TOKEN` and `GatewayToken TOKEN` as clients of hawkBit send it. The file
 * contains hashes, one `DEVICE sha256:HEX` per line. A device can have several lines while its token is replaced. The
 * file is read again when it changes. The time of a lookup reveals nothing about the token, because hashes are
 * compared.
 */
export class DeviceTokens extends DeviceAuthenticator {
  private readonly tokens: Reloaded<Tokens>;

  /** Throws ConfigError if the file cannot be read. */
  constructor(path: string) {
    super();
    this.tokens = new Reloaded('--device-tokens-path', [path], parseTokens, new Logger('DeviceTokens'));
  }

  override accessOf({ raw }: DeviceRequest, { product }: Identity): Access {
    const token = tokenIn(raw.headers.authorization);
    const devices = token === undefined ? undefined : this.tokens.current.get(hashToken(token));
    if (!devices) return 'unknown';
    return devices.has(product) ? 'allowed' : 'other';
  }

  override close(): void {
    this.tokens.stop();
  }
}

function parseTokens(text: string): Tokens {
  const tokens = new Map<string, Set<string>>();
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim();
    if (!trimmed || trimmed.startsWith('#')) continue;
    const [, device = '', hash = ''] = LINE.exec(trimmed) ?? [];
    if (!device) throw new Error(`line ${index + 1}: expected DEVICE sha256:HEX, as otaflux token prints it`);
    const devices = tokens.get(hash) ?? new Set();
    tokens.set(hash, devices.add(device));
  }
  return tokens;
}

function tokenIn(header: string | undefined): string | undefined {
  const [, scheme = '', credentials = ''] =
    /^(Bearer|Basic|TargetToken|GatewayToken) +(\S+)$/i.exec(header ?? '') ?? [];
  if (scheme.toLowerCase() !== 'basic') return credentials || undefined;
  const text = Buffer.from(credentials, 'base64').toString('utf8');
  return text.slice(text.indexOf(':') + 1) || undefined;
}
