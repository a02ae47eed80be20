import { createHmac, timingSafeEqual } from 'node:crypto';
import { isUnitName } from '../../identity.js';
import type { Login } from './auth-request.js';

/** As long as Mender's own tokens. A device asks for a new one when it gets 401. */
const VALID_S = 7 * 86_400;
const PURPOSE = 'otaflux mender token';
const MAX_TOKEN = 1_024;

/** Makes and reads the tokens of devices: who it is, and until when, with an HMAC. Clients do not look inside. */
export class SessionTokens {
  private readonly keys: readonly Buffer[];

  /** @param secrets the first one signs */
  constructor(
    secrets: readonly string[],
    private readonly nowMs: () => number,
  ) {
    this.keys = secrets.map((secret) => createHmac('sha256', secret).update(PURPOSE).digest());
  }

  /** Returns a token for `login`. */
  make({ unit, key }: Login): string {
    const [secret = Buffer.alloc(0)] = this.keys;
    const expires = Math.ceil(this.nowMs() / 1000) + VALID_S;
    const payload = Buffer.from(JSON.stringify([unit, key, expires])).toString('base64url');
    return `${payload}.${signed(secret, payload).toString('base64url')}`;
  }

  /** Returns whom the header `Authorization` names, or undefined if it has no valid token. */
  read(authorization: string | undefined): Login | undefined {
    const [, payload = '', signature = ''] = /^Bearer +([\w-]+)\.([\w-]+)$/i.exec(authorization ?? '') ?? [];
    if (payload === '' || payload.length > MAX_TOKEN) return undefined;
    const given = Buffer.from(signature, 'base64url');
    const isOurs = this.keys
      .map((key) => signed(key, payload))
      .map((expected) => given.length === expected.length && timingSafeEqual(given, expected))
      .some(Boolean);
    if (!isOurs) return undefined;
    const [unit, key, expires] = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as [
      string,
      string,
      number,
    ];
    return expires * 1000 > this.nowMs() && isUnitName(unit) ? { unit, key } : undefined;
  }
}

function signed(key: Buffer, payload: string): Buffer {
  return createHmac('sha256', key).update(payload).digest();
}
