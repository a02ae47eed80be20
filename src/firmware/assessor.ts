import { isIndexType, type Descriptor } from '../oci/index.js';
import type { Registry } from '../registry/index.js';
import type { SignatureVerifier, Verification } from '../signature/index.js';
import type { FirmwareLocator, Location } from './firmware-locator.js';

/** Decides whether what a tag names may be served, and finds where its firmware is. */
export class Assessor {
  constructor(
    private readonly registry: Registry,
    private readonly verifier: SignatureVerifier,
    private readonly locator: FirmwareLocator,
  ) {}

  /**
   * Whether `manifest` may be served. A signature on an index covers the manifests that it names by digest; a signature
   * on the one that holds the firmware is as good. Rejects with OtaError, `absent` when an index holds no firmware.
   */
  async verify(repository: string, manifest: Descriptor, signal: AbortSignal): Promise<Verification> {
    const verdict = await this.verifier.verify(repository, manifest, signal);
    if (verdict.trusted || !isIndexType(manifest.mediaType)) return verdict;
    const child = (await this.locate(repository, manifest, signal)).manifest;
    const own = await this.verifier.verify(repository, child, signal);
    return own.trusted || verdict.code === 'no-signature' ? own : verdict;
  }

  /** Where the firmware of `manifest` is, or OtaError `absent` when it holds none. */
  async locate(repository: string, manifest: Descriptor, signal: AbortSignal): Promise<Location> {
    return this.locator.locate(repository, await this.registry.fetchManifest(repository, manifest, signal), signal);
  }
}
