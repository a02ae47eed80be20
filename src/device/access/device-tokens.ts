import { Logger } from '@nestjs/common';
import { Reloaded } from '../../reloaded.js';
import type { DeviceRequest } from '../../delivery/index.js';
import type { Identity } from '../../protocols/index.js';
import { printable } from '../../identity.js';
import { hashToken } from './credentials.js';
import { covers, type Grant } from './grant.js';
import { DeviceAuthenticator, type Access } from './device-authenticator.js';

/** SHA-256 of each token, and what it is valid for. */
type Tokens = ReadonlyMap<string, readonly Grant[]>;

const LINE = /^([^\s#]+)(?:#(\S+))?\s+sha256:([0-9a-f]{64})$/;

/**
 * Authenticates a device by a token: `Authorization: Bearer TOKEN`, or Basic with the token as the password, or
 * `TargetToken TOKEN` and `GatewayToken TOKEN`, as clients of hawkBit send it. The file contains hashes, one
 * `DEVICE sha256:HEX` per line, or `DEVICE#UNIT sha256:HEX` for one unit. A device can have several lines while its token
 * is replaced. The file is read again when it changes. The time of a lookup reveals nothing about the token, because
 * hashes are compared.
 */
export class DeviceTokens extends DeviceAuthenticator {
  private readonly tokens: Reloaded<Tokens>;

  /** Throws ConfigError if the file cannot be read. */
  constructor(path: string) {
    super();
    this.tokens = new Reloaded('--device-tokens-path', [path], parseTokens, new Logger('DeviceTokens'));
  }

  override accessOf({ raw }: DeviceRequest, identity: Identity): Access {
    const token = tokenIn(raw.headers.authorization);
    const grants = token === undefined ? undefined : this.tokens.current.get(hashToken(token));
    if (!grants) return 'unknown';
    return grants.some((grant) => covers(grant, identity)) ? 'allowed' : 'other';
  }

  override close(): void {
    this.tokens.stop();
  }
}

function parseTokens(text: string): Tokens {
  const tokens = new Map<string, Grant[]>();
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim();
    if (!trimmed || trimmed.startsWith('#')) continue;
    const [, product = '', name, hash = ''] = LINE.exec(trimmed) ?? [];
    const unit = name === undefined ? undefined : decoded(name);
    if (!product || (name !== undefined && unit === undefined))
      throw new Error(
        `line ${index + 1}: expected DEVICE sha256:HEX or DEVICE#UNIT sha256:HEX, as otaflux token prints it`,
      );
    tokens.set(hash, [...(tokens.get(hash) ?? []), { product, unit }]);
  }
  return tokens;
}

/** A unit may contain spaces, which are percent-encoded. Returns undefined for what is no name of a unit. */
function decoded(name: string): string | undefined {
  try {
    return printable(decodeURIComponent(name));
  } catch {
    return undefined;
  }
}

function tokenIn(header: string | undefined): string | undefined {
  const [, scheme = '', credentials = ''] =
    /^(Bearer|Basic|TargetToken|GatewayToken) +(\S+)$/i.exec(header ?? '') ?? [];
  if (scheme.toLowerCase() !== 'basic') return credentials || undefined;
  const text = Buffer.from(credentials, 'base64').toString('utf8');
  return text.slice(text.indexOf(':') + 1) || undefined;
}
