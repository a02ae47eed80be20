import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import { Subject, type Observable } from 'rxjs';
import { OtaError } from '../../errors.js';
import type { SignatureCounts } from '../../metrics/index.js';
import type { Descriptor, Digest } from '../../oci/index.js';
import type { Registry } from '../../registry/index.js';
import { every, type Timer } from '../../timers.js';
import type { KeyRing } from '../keys/key-ring.js';
import { isSignatureOf } from '../keys/public-key.js';
import { SignatureVerifier, type Distrust, type Signer, type Verification } from '../signature-verifier.js';
import { checkCertificate, type CertificateCheckOptions } from './certificate-check.js';
import { refuteIdentity, type IdentityMatcher } from './identity.js';
import type { Policies, Policy } from './policies.js';
import { SignatureStore, type Found } from './signature-store.js';
import { MalformedSignature, type Refusal, type StoredSignature } from './stored-signature.js';
import type { TrustedRoot } from './trusted-root.js';
import { TrustSources, type TrustLogger } from './trust-sources.js';

export interface CosignVerifierOptions extends CertificateCheckOptions {
  /** Returns the device of a repository. */
  readonly deviceOf: (repository: string) => string;
  /** Returns whether a `docker-reference` refers to a repository. Undefined if references are not checked. */
  readonly isReferenceTo: ((reference: string, repository: string) => boolean) | undefined;
  /** The option that names the keys, for messages. Default: `--cosign-pub-key-path`. */
  readonly keyOption?: string;
}

type Outcome = { readonly signer: Signer } | Refusal;
type SignedPolicy = Extract<Policy, { kind: 'signed' }>;

/** How often key files are checked. A rotation is noticed within seconds, on every kind of volume. */
const RELOAD_MS = 2_000;

/**
 * Reasons in order: earlier ones are closer to a valid signature. The closest reason is reported if none of several
 * signatures is valid.
 */
const CLOSENESS: readonly Distrust[] = [
  'wrong-reference',
  'wrong-subject',
  'wrong-predicate',
  'expired',
  'not-in-log',
  'bad-log-entry',
  'bad-timestamp',
  'bad-certificate',
  'wrong-identity',
  'wrong-issuer',
  'bad-signature',
  'key-mismatch',
  'malformed',
];

/** Trusts signatures of cosign, by key or by identity, in the form of cosign v3 or of v1 and v2. */
export class CosignVerifier extends SignatureVerifier implements OnModuleInit, OnApplicationShutdown {
  private readonly changed = new Subject<void>();
  private timer: Timer | undefined;
  private readonly sources: TrustSources;

  constructor(
    private readonly registry: Registry,
    private readonly policies: Policies,
    private readonly root: TrustedRoot | undefined,
    private readonly options: CosignVerifierOptions,
    private readonly meter: SignatureCounts | undefined,
    private readonly logger: TrustLogger,
  ) {
    super();
    this.sources = new TrustSources(
      [...policies.rings.flatMap((ring) => ring.sources), ...(root ? [root] : [])],
      logger,
      meter,
    );
    this.countKeys();
  }

  override get changes(): Observable<void> {
    return this.changed.asObservable();
  }

  /** Starts to read key files again when they change. */
  onModuleInit(): void {
    this.timer = every(RELOAD_MS, () => {
      this.reload();
    });
  }

  onApplicationShutdown(): void {
    this.timer?.stop();
    this.root?.close();
    this.changed.complete();
  }

  async verify(
    repository: string,
    manifest: Descriptor,
    signal: AbortSignal,
    registry = this.registry,
  ): Promise<Verification> {
    const store = new SignatureStore(registry);
    const policy = this.policies.for(this.options.deviceOf(repository));
    if (policy.kind === 'open') return { trusted: true, signer: undefined };
    if (policy.kind === 'closed')
      return this.refused(
        { code: 'no-policy', reason: 'no entry of --signature-policy matches this device. Add one' },
        0,
      );
    const refusals: Refusal[] = [];
    const failures: OtaError[] = [];
    for (const form of ['bundles', 'legacy'] as const) {
      try {
        for await (const found of store[form](repository, manifest, signal)) {
          const outcome = await this.outcomeOf(found, repository, manifest.digest, policy);
          if ('signer' in outcome) return this.trusted(outcome.signer);
          if (outcome instanceof OtaError) failures.push(outcome);
          else refusals.push(outcome);
        }
      } catch (error) {
        if (!(error instanceof OtaError)) throw error;
        // If one form of signatures cannot be read, the other one is still used.
        if (error.code !== 'absent') failures.push(error);
      }
    }
    // A signature that could not be read may be valid, so the manifest does not count as untrusted.
    if (failures[0]) throw failures[0];
    if (refusals.length === 0) await store.demand(repository, manifest, signal);
    const [closest] = refusals.sort((a, b) => CLOSENESS.indexOf(a.code) - CLOSENESS.indexOf(b.code));
    return this.refused(
      closest ?? { code: 'no-signature', reason: 'it has no signature. Sign it with cosign sign' },
      refusals.length,
    );
  }

  override stillTrusts(repository: string, signer: Signer | undefined): boolean {
    const policy = this.policies.for(this.options.deviceOf(repository));
    if (policy.kind !== 'signed') return policy.kind === 'open';
    if (!signer) return false;
    if (signer.key !== undefined) return policy.keys?.has(signer.key) ?? false;
    return policy.identity !== undefined && !refuteIdentity(policy.identity, signer.identity, signer.issuer);
  }

  /** Reads every key file and the trusted root again, one by one. Emits on `changes` if any of them changed. */
  reload(): void {
    const changed = this.sources.reload();
    this.countKeys();
    if (changed.length === 0) return;
    for (const source of changed)
      this.logger.log({ event: 'signature.keys_changed', source, keys: this.fingerprints() });
    this.changed.next();
  }

  /** The same as `verifyOne`, but returns a failure as a result. */
  private async outcomeOf(
    found: Found,
    repository: string,
    manifest: Digest,
    policy: SignedPolicy,
  ): Promise<Outcome | OtaError> {
    if (found instanceof OtaError) return found;
    try {
      return await this.verifyOne(found, repository, manifest, policy);
    } catch (error) {
      if (error instanceof OtaError) return error;
      throw error;
    }
  }

  private async verifyOne(
    found: Exclude<Found, OtaError>,
    repository: string,
    manifest: Digest,
    policy: SignedPolicy,
  ): Promise<Outcome> {
    if (found instanceof MalformedSignature) return { code: 'malformed', reason: found.message };
    const outcome =
      policy.keys && (!found.certified || !policy.identity)
        ? byKey(found, policy.keys, this.keyOption)
        : await this.byIdentity(found, policy.identity);
    if (!('signer' in outcome)) return outcome;
    const refusal = found.refute(manifest) ?? this.refuteReference(found, repository);
    return refusal ?? { signer: { ...outcome.signer, reference: found.reference } };
  }

  private async byIdentity(found: StoredSignature, matcher: IdentityMatcher | undefined): Promise<Outcome> {
    if (!matcher || !this.root)
      return {
        code: 'key-mismatch',
        reason: `it is signed with a certificate, expected a key (${this.keyOption})`,
      };
    if (!found.certified)
      return {
        code: 'key-mismatch',
        reason: 'it is signed with a key, expected a certificate (--cosign-certificate-identity)',
      };
    const checked = checkCertificate(found, await this.root.material(), this.options);
    if ('code' in checked) return checked;
    const { identity, issuer, at } = checked;
    const refusal = refuteIdentity(matcher, identity, issuer);
    if (refusal) return refusal;
    return { signer: { name: `${identity ?? ''} (${issuer ?? ''})`, form: found.form, at, identity, issuer } };
  }

  private refuteReference({ reference }: StoredSignature, repository: string): Refusal | undefined {
    const { isReferenceTo } = this.options;
    if (!isReferenceTo || reference === undefined || isReferenceTo(reference, repository)) return undefined;
    return {
      code: 'wrong-reference',
      reason: `it was made for ${JSON.stringify(reference)}, not for ${repository}. Sign it under this name, or leave out --cosign-match-reference`,
    };
  }

  private trusted(signer: Signer): Verification {
    this.meter?.verified('trusted', signer.form);
    return { trusted: true, signer };
  }

  private refused({ code, reason }: Refusal, signatures: number): Verification {
    this.meter?.verified(code, 'none');
    return {
      trusted: false,
      code,
      reason: signatures > 1 ? `${reason} (the best of ${signatures} signatures)` : reason,
    };
  }

  private get keyOption(): string {
    return this.options.keyOption ?? '--cosign-pub-key-path';
  }

  private fingerprints(): string[] {
    return this.policies.rings.flatMap((ring) => [...ring.keys].map(({ fingerprint }) => fingerprint));
  }

  private countKeys(): void {
    this.meter?.keys(this.policies.rings.reduce((sum: number, ring: KeyRing) => sum + ring.size, 0));
  }
}

function byKey(found: StoredSignature, ring: KeyRing, option: string): Outcome {
  if (found.certified)
    return { code: 'key-mismatch', reason: `it is signed with a certificate, expected a key (${option})` };
  for (const { key, fingerprint } of ring.keys) {
    if (isSignatureOf(key, found.data, found.signature))
      return { signer: { name: `key ${fingerprint}`, form: found.form, at: undefined, key: fingerprint } };
  }
  return {
    code: 'key-mismatch',
    reason: `it is signed with a key that is not configured (${ring.size === 1 ? '1 key is' : `${ring.size} keys are`} configured). Check ${option}`,
  };
}
