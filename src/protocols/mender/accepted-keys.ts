import { Logger } from '@nestjs/common';
import picomatch from 'picomatch';
import { Reloaded } from '../../reloaded.js';
import type { UnitIdentity } from '../../identity.js';
import type { Login } from './auth-request.js';

const FIRST_USE = 'first-use';
/** `DEVICE sha256:HEX [UNIT]`. A unit may contain spaces. */
const LINE = /^(\S+)\s+sha256:([0-9a-f]{64})(?:\s+(\S.*))?$/i;

interface Entry {
  readonly isFor: (product: string) => boolean;
  readonly unit: string | undefined;
}

/** What a key may do. `other`: it is accepted, but for another product or unit. */
export type KeyAccess = 'allowed' | 'unknown' | 'other';

/** The keys of MENDER_ACCEPT. */
export class AcceptedKeys {
  private readonly list: Reloaded<ReadonlyMap<string, readonly Entry[]>> | undefined;

  /**
   * Throws ConfigError if the file cannot be read.
   *
   * @param accept the value of MENDER_ACCEPT
   * @param isOpen whether keys are accepted on first use without MENDER_ACCEPT
   */
  constructor(
    private readonly accept: string | undefined,
    private readonly isOpen: () => boolean,
  ) {
    if (accept !== undefined && accept !== FIRST_USE)
      this.list = new Reloaded('--mender-accept', [accept], parseKeys, new Logger('AcceptedKeys'));
  }

  /** Whether the operator has listed the accepted keys, so that a key is a credential. */
  get isList(): boolean {
    return this.list !== undefined;
  }

  /** Whether every key is accepted on first use. */
  get isFirstUse(): boolean {
    return this.accept === FIRST_USE || (this.accept === undefined && this.isOpen());
  }

  /** Returns whether a device with this key may get a token. It names no product yet. */
  acceptsLogin({ key, unit }: Login): boolean {
    if (!this.list) return this.isFirstUse;
    return this.list.current.get(key)?.some((entry) => entry.unit === undefined || entry.unit === unit) ?? false;
  }

  /** Returns whether a key is accepted for a unit. */
  accessOf(key: string, { product, unit }: UnitIdentity): KeyAccess {
    if (!this.list) return this.isFirstUse ? 'allowed' : 'unknown';
    const entries = this.list.current.get(key);
    if (!entries) return 'unknown';
    return entries.some((entry) => entry.isFor(product) && (entry.unit === undefined || entry.unit === unit))
      ? 'allowed'
      : 'other';
  }

  /**
   * Returns whether a unit that was seen with the key `known` may use `key` instead: the operator has named the unit for
   * `key`, or has removed `known`.
   */
  mayReplace(known: string, key: string, { product, unit }: UnitIdentity): boolean {
    if (!this.list) return false;
    const isNamed = this.list.current.get(key)?.some((entry) => entry.unit === unit && entry.isFor(product)) ?? false;
    return isNamed || this.accessOf(known, { product, unit }) !== 'allowed';
  }

  stop(): void {
    this.list?.stop();
  }
}

function parseKeys(text: string): ReadonlyMap<string, readonly Entry[]> {
  const keys = new Map<string, Entry[]>();
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim();
    if (!trimmed || trimmed.startsWith('#')) continue;
    const [, device = '', hash = '', unit] = LINE.exec(trimmed) ?? [];
    if (!device)
      throw new Error(
        `line ${index + 1}: expected DEVICE sha256:HEX [UNIT], where HEX is the SHA-256 of the public key in DER`,
      );
    const entries = keys.get(hash.toLowerCase()) ?? [];
    entries.push({ isFor: picomatch(device), unit });
    keys.set(hash.toLowerCase(), entries);
  }
  return keys;
}
