import { Annotation, isIndexType, type Descriptor } from '../oci/index.js';
import type { FetchedManifest, Registry } from '../registry/index.js';
import type { SignatureVerifier, Verification } from '../signature/index.js';
import { fetchNamed, type FirmwareLocator, type Location } from './firmware-locator.js';
import { versionOf } from './select-version.js';

/** What is made of the version that a signed manifest itself states. */
export type SignedVersion = 'ignore' | 'check' | 'require';

/** Decides whether what a tag names may be served, and finds where its firmware is. */
export class Assessor {
  constructor(
    private readonly registry: Registry,
    private readonly verifier: SignatureVerifier,
    private readonly locator: FirmwareLocator,
    private readonly signedVersion: SignedVersion,
  ) {}

  /**
   * Whether `manifest` may be served as `version`. A signature on an index covers the manifests that it names by digest;
   * a signature on the one that holds the firmware is as good. A tag is not signed, so an old manifest could be given
   * a new tag: the version that is stated within what is signed must be that of the tag.
   * Rejects with OtaError, `absent` when an index holds no firmware.
   */
  async verify(repository: string, manifest: Descriptor, version: string, signal: AbortSignal): Promise<Verification> {
    const verdict = await this.verifier.verify(repository, manifest, signal);
    if (verdict.trusted) {
      if (verdict.signer === undefined || this.signedVersion === 'ignore') return verdict;
      const stated = await this.statedVersion(repository, manifest, signal);
      return this.refuteVersion(stated, version) ?? verdict;
    }
    if (!isIndexType(manifest.mediaType)) return verdict;
    const child = (await this.locate(repository, manifest, signal)).manifest;
    const own = await this.verifier.verify(repository, child, signal);
    if (!own.trusted) return verdict.code === 'no-signature' ? own : verdict;
    if (own.signer === undefined || this.signedVersion === 'ignore') return own;
    return this.refuteVersion(await this.statedVersion(repository, child, signal), version) ?? own;
  }

  /** Where the firmware of `manifest` is, or OtaError `absent` when it holds none. */
  async locate(repository: string, manifest: Descriptor, signal: AbortSignal): Promise<Location> {
    return this.locator.locate(repository, await this.fetch(repository, manifest, signal), signal);
  }

  /** The version that `manifest` states; of an index that states none, the one that its manifest with the firmware does. */
  private async statedVersion(
    repository: string,
    manifest: Descriptor,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { content } = await this.fetch(repository, manifest, signal);
    const stated = content.annotations?.[Annotation.version];
    if (stated !== undefined || content.kind === 'manifest') return stated;
    const child = await this.locate(repository, manifest, signal);
    return (await this.fetch(repository, child.manifest, signal)).content.annotations?.[Annotation.version];
  }

  private refuteVersion(stated: string | undefined, version: string): Verification | undefined {
    // Not everybody's "version" is a semantic one; then it says nothing about the tag.
    const own = stated === undefined ? undefined : versionOf(stated.replace('+', '_'));
    if (own === version || (own === undefined && this.signedVersion === 'check')) return undefined;
    const reason =
      own === undefined
        ? `the signed manifest states no semantic version, and its tag is ${version}. Push with one, or set --signed-version=check`
        : `the signed manifest states version ${own}, but its tag is ${version}. Give it the tag ${own}, or push and sign ${version} anew`;
    return { trusted: false, code: 'wrong-version', reason };
  }

  private fetch(repository: string, manifest: Descriptor, signal: AbortSignal): Promise<FetchedManifest> {
    return fetchNamed(this.registry, repository, manifest, signal);
  }
}
