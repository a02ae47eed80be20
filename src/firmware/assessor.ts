import { Annotation, isIndexType, type Descriptor } from '../oci/index.js';
import type { FetchedManifest, Registry } from '../registry/index.js';
import type { SignatureVerifier, Verification } from '../signature/index.js';
import { fetchNamed, type FirmwareLocator, type Location } from './firmware-locator.js';
import { versionOf } from './select-version.js';

/** What to do with the version that a signed manifest itself states. */
export type SignedVersion = 'ignore' | 'check' | 'require';

/** Whether a manifest may be served. */
export type Assessment = Verification & {
  /** Whether only the manifest with the firmware is signed, and neither its index nor other manifests of the index. */
  readonly coversManifestOnly?: boolean;
};

/** Decides whether the manifest of a tag may be served, and locates its firmware. */
export class Assessor {
  constructor(
    private readonly registry: Registry,
    private readonly verifier: SignatureVerifier,
    private readonly locator: FirmwareLocator,
    private readonly signedVersion: SignedVersion,
  ) {}

  /**
   * Returns whether `manifest` may be served as `version`. A signature on an index covers the manifests that the index
   * names by digest. A signature on the manifest with the firmware is equally good. A tag is not signed, so an old
   * manifest could be given a new tag: the version that is stated in the signed content must be that of the tag.
   * Rejects with OtaError, `absent` if an index has no firmware.
   */
  async verify(repository: string, manifest: Descriptor, version: string, signal: AbortSignal): Promise<Assessment> {
    const verdict = await this.verifier.verify(repository, manifest, signal, this.registry);
    if (verdict.trusted) {
      if (verdict.signer === undefined || this.signedVersion === 'ignore') return verdict;
      const stated = await this.statedVersion(repository, manifest, signal);
      return this.refuteVersion(stated, version) ?? verdict;
    }
    if (!isIndexType(manifest.mediaType)) return verdict;
    const child = (await this.locate(repository, manifest, signal)).manifest;
    const own = await this.verifier.verify(repository, child, signal, this.registry);
    if (!own.trusted) return verdict.code === 'no-signature' ? own : verdict;
    const covered = { ...own, coversManifestOnly: true };
    if (own.signer === undefined || this.signedVersion === 'ignore') return covered;
    return this.refuteVersion(await this.statedVersion(repository, child, signal), version) ?? covered;
  }

  /** Returns the location of the firmware of `manifest`. Rejects with OtaError `absent` if it has none. */
  async locate(repository: string, manifest: Descriptor, signal: AbortSignal): Promise<Location> {
    return this.locator.locate(repository, await this.fetch(repository, manifest, signal), signal);
  }

  /**
   * Returns the version that `manifest` states. If it is an index that states none, returns the version of its manifest
   * with the firmware.
   */
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
    // If the stated version is not a semantic version, it says nothing about the tag.
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
