import type { Refusal } from './stored-signature.js';

/** The accepted identity and issuer, with the options of cosign. Undefined fields are not checked. */
export interface IdentityMatcher {
  readonly identity: string | undefined;
  readonly identityRegexp: RegExp | undefined;
  readonly issuer: string | undefined;
  readonly issuerRegexp: RegExp | undefined;
}

/** Returns why `identity`, confirmed by `issuer`, is not accepted, or undefined if it is. */
export function refuteIdentity(
  matcher: IdentityMatcher,
  identity: string | undefined,
  issuer: string | undefined,
): Refusal | undefined {
  if (!matches(issuer, matcher.issuer, matcher.issuerRegexp))
    return {
      code: 'wrong-issuer',
      reason: `its certificate was issued for an identity of ${issuer ?? 'no provider'}, expected ${expected(matcher.issuer, matcher.issuerRegexp)} (--cosign-certificate-oidc-issuer)`,
    };
  if (!matches(identity, matcher.identity, matcher.identityRegexp))
    return {
      code: 'wrong-identity',
      reason: `it was signed by ${identity ?? 'no identity'}, expected ${expected(matcher.identity, matcher.identityRegexp)} (--cosign-certificate-identity)`,
    };
  return undefined;
}

function matches(value: string | undefined, exact: string | undefined, regexp: RegExp | undefined): boolean {
  if (value === undefined) return false;
  return (exact === undefined || value === exact) && (regexp === undefined || regexp.test(value));
}

function expected(exact: string | undefined, regexp: RegExp | undefined): string {
  return [exact, regexp && String(regexp)].filter(Boolean).join(' and ');
}
