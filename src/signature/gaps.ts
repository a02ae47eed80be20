import type { PolicyRule } from '../config/index.js';
import type { SignatureSettings } from './signature-settings.js';

/**
 * Identities of people and of workflows, and issuers, that have nothing in common but their form. No pattern for the
 * signers of one organisation matches all of a group.
 */
const UNRELATED = {
  identity: [
    ['someone@example.org', 'q@mail.test', '7@xn--bcher-kva.invalid'],
    ['https://github.com/a/b/.github/workflows/c.yml@refs/heads/main', 'https://gitlab.test/x//y.yml@refs/tags/1'],
  ],
  issuer: [['https://accounts.google.com', 'https://token.actions.githubusercontent.com', 'https://idp.test/7']],
} as const;

/** An option, or a rule of SIGNATURE_POLICY, whose pattern everybody matches. */
export interface OpenPattern {
  readonly where: string;
  readonly pattern: string;
}

/** Returns whether `settings` name a signer. A rule that requires no signature, and a list without a key, name none. */
export function namesSigners(settings: SignatureSettings): boolean {
  const { cosignPubKeyPath = [], cosignPubKey, signaturePolicy = [] } = settings;
  const identity = settings.cosignCertificateIdentity ?? settings.cosignCertificateIdentityRegexp;
  return (
    cosignPubKeyPath.length > 0 ||
    cosignPubKey !== undefined ||
    identity !== undefined ||
    signaturePolicy.some(({ required }) => required)
  );
}

/** Returns the rules that let devices have unsigned firmware, with their number in SIGNATURE_POLICY from 1. */
export function exemptions({ signaturePolicy = [] }: SignatureSettings): { match: string; number: number }[] {
  return signaturePolicy
    .map(({ match, required }, index) => ({ match, required, number: index + 1 }))
    .filter(({ required }) => !required);
}

/**
 * Returns the patterns for identities and issuers that strangers match, too. This finds patterns such as `.*`, `.+`,
 * `@` and `^https://`. It cannot know who belongs to you: `^https://github.com/` is a matter of your own judgement.
 */
export function openPatterns(settings: SignatureSettings): OpenPattern[] {
  const { cosignCertificateIdentityRegexp: identity, cosignCertificateOidcIssuerRegexp: issuer } = settings;
  const options = [
    ...openIn('COSIGN_CERTIFICATE_IDENTITY_REGEXP', identity, 'identity'),
    ...openIn('COSIGN_CERTIFICATE_OIDC_ISSUER_REGEXP', issuer, 'issuer'),
  ];
  return [...options, ...(settings.signaturePolicy ?? []).flatMap(openInRule)];
}

function openInRule({ identityRegexp, issuerRegexp }: PolicyRule, index: number): OpenPattern[] {
  const rule = `of rule ${index + 1} of SIGNATURE_POLICY`;
  return [
    ...openIn(`identity-regexp ${rule}`, identityRegexp, 'identity'),
    ...openIn(`issuer-regexp ${rule}`, issuerRegexp, 'issuer'),
  ];
}

function openIn(where: string, pattern: RegExp | undefined, of: keyof typeof UNRELATED): OpenPattern[] {
  if (!pattern) return [];
  const isOpen = UNRELATED[of].some((group) => group.every((stranger) => pattern.test(stranger)));
  return isOpen ? [{ where, pattern: pattern.source }] : [];
}
