import type { SignatureCounts } from '../../metrics/index.js';
import type { Registry } from '../../registry/index.js';
import { timerMs } from '../../timers.js';
import { KeyRing } from '../keys/key-ring.js';
import type { SignatureSettings } from '../signature-settings.js';
import type { SignatureVerifier } from '../signature-verifier.js';
import { CosignVerifier } from './cosign-verifier.js';
import type { IdentityMatcher } from './identity.js';
import { Policies, type Policy } from './policies.js';
import type { TrustLogger } from './trust-sources.js';
import { FileTrustedRoot, type TrustedRoot } from './trusted-root.js';
import { TufTrustedRoot } from './tuf-trusted-root.js';

/**
 * Returns a verifier of cosign signatures for `settings`. Throws ConfigError if a file in the settings cannot be used.
 */
export function cosignVerifier(
  settings: SignatureSettings,
  registry: Registry,
  meter: SignatureCounts | undefined,
  logger: TrustLogger,
): SignatureVerifier {
  const policies = new Policies(settings.signaturePolicy ?? [], generalPolicy(settings));
  const prefix = settings.repositoryPrefix;
  return new CosignVerifier(
    registry,
    policies,
    policies.askForIdentity ? trustedRoot(settings) : undefined,
    {
      deviceOf: (repository) => (prefix ? repository.slice(prefix.length + 1) : repository),
      isReferenceTo: settings.cosignMatchReference ? referenceCheck(settings) : undefined,
      ignoreTlog: settings.cosignInsecureIgnoreTlog,
      ignoreSct: settings.cosignInsecureIgnoreSct,
    },
    meter,
    logger,
  );
}

/** Returns the policy for devices without a rule, or undefined if the options define none. */
function generalPolicy(settings: SignatureSettings): Policy | undefined {
  const { cosignPubKeyPath: paths = [], cosignPubKey: text } = settings;
  const matcher: IdentityMatcher = {
    identity: settings.cosignCertificateIdentity,
    identityRegexp: settings.cosignCertificateIdentityRegexp,
    issuer: settings.cosignCertificateOidcIssuer,
    issuerRegexp: settings.cosignCertificateOidcIssuerRegexp,
  };
  const identity = matcher.identity !== undefined || matcher.identityRegexp !== undefined ? matcher : undefined;
  const where = text === undefined || paths.length > 0 ? '--cosign-pub-key-path' : '--cosign-pub-key';
  const keys = paths.length > 0 || text !== undefined ? new KeyRing({ where, paths, text }) : undefined;
  return keys || identity ? { kind: 'signed', keys, identity } : undefined;
}

/** Returns a verifier that accepts signatures with the keys in `paths`, of every repository. Throws ConfigError. */
export function planKeyVerifier(
  paths: readonly string[],
  settings: SignatureSettings,
  registry: Registry,
  meter: SignatureCounts | undefined,
  logger: TrustLogger,
): SignatureVerifier {
  const where = '--plan-pub-key-path';
  const policies = new Policies([], { kind: 'signed', keys: new KeyRing({ where, paths }), identity: undefined });
  return new CosignVerifier(
    registry,
    policies,
    undefined,
    {
      deviceOf: (repository) => repository,
      isReferenceTo: settings.cosignMatchReference ? referenceCheck(settings) : undefined,
      ignoreTlog: false,
      ignoreSct: false,
      keyOption: where,
    },
    meter,
    logger,
  );
}

function trustedRoot(settings: SignatureSettings): TrustedRoot {
  return settings.sigstoreTrustedRootPath === undefined
    ? new TufTrustedRoot(settings.sigstoreCacheDir, timerMs(settings.registryTimeout))
    : new FileTrustedRoot(settings.sigstoreTrustedRootPath);
}

/**
 * Returns whether a reference refers to a repository: it must end with the repository, and begin with the registry if
 * that has a host.
 */
function referenceCheck({ registryUrl }: SignatureSettings): (reference: string, repository: string) => boolean {
  return (reference, repository) => {
    const name = reference.replace(/@sha(?:256|512):[0-9a-f]+$/, '').replace(/:[A-Za-z0-9_][A-Za-z0-9._-]*$/, '');
    if (registryUrl.kind === 'layout') return name === repository || name.endsWith(`/${repository}`);
    return name === [registryUrl.host, registryUrl.path, repository].filter(Boolean).join('/');
  };
}
