import picomatch from 'picomatch';
import type { PolicyRule } from '../../config/index.js';
import { KeyRing } from '../keys/key-ring.js';
import type { IdentityMatcher } from './identity.js';

/** The signers that are accepted for a device. */
export type Policy =
  /** No signature is required. */
  | { readonly kind: 'open' }
  /** No signer is accepted, because no rule matches the device. */
  | { readonly kind: 'closed' }
  /** One of these keys, or a certificate of this identity. */
  | { readonly kind: 'signed'; readonly keys: KeyRing | undefined; readonly identity: IdentityMatcher | undefined };

interface Rule {
  readonly matches: (device: string) => boolean;
  readonly policy: Policy;
}

const CLOSED: Policy = { kind: 'closed' };
/** Number of devices whose policy is cached, because a glob is slower than a map. */
const MAX_REMEMBERED = 10_000;

/** The policy of every device: the first rule that matches, otherwise the one for all devices. */
export class Policies {
  private readonly rules: readonly Rule[];
  private readonly remembered = new Map<string, Policy>();

  /** Throws ConfigError if keys cannot be read. */
  constructor(
    rules: readonly PolicyRule[],
    private readonly general: Policy = CLOSED,
  ) {
    this.rules = rules.map((rule, index) => ({
      matches: picomatch(rule.match, { dot: true }),
      policy: policyOf(rule, `--signature-policy: entry ${index + 1}`),
    }));
  }

  for(device: string): Policy {
    let policy = this.remembered.get(device);
    if (!policy) {
      policy = this.rules.find(({ matches }) => matches(device))?.policy ?? this.general;
      if (this.remembered.size >= MAX_REMEMBERED) this.remembered.clear();
      this.remembered.set(device, policy);
    }
    return policy;
  }

  get rings(): KeyRing[] {
    return [this.general, ...this.rules.map(({ policy }) => policy)].flatMap((policy) =>
      policy.kind === 'signed' && policy.keys ? [policy.keys] : [],
    );
  }

  /** Whether any policy accepts an identity, which requires a trusted root. */
  get askForIdentity(): boolean {
    return [this.general, ...this.rules.map(({ policy }) => policy)].some(
      (policy) => policy.kind === 'signed' && policy.identity !== undefined,
    );
  }
}

function policyOf(rule: PolicyRule, where: string): Policy {
  if (!rule.required) return { kind: 'open' };
  if (rule.keys.length > 0)
    return { kind: 'signed', keys: new KeyRing({ where, paths: rule.keys }), identity: undefined };
  const { identity, identityRegexp, issuer, issuerRegexp } = rule;
  return { kind: 'signed', keys: undefined, identity: { identity, identityRegexp, issuer, issuerRegexp } };
}
