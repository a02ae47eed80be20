import { OtaError, reasonOf } from '../../errors.js';
import { algorithmOf, hexOf, inlineContent, readable, type Descriptor } from '../../oci/index.js';
import type { Registry } from '../../registry/index.js';
import { BUNDLE_TYPE, parseBundle } from './bundle-signature.js';
import { parseLegacy, SIMPLE_SIGNING_TYPE } from './legacy-signature.js';
import { MalformedSignature, type StoredSignature } from './stored-signature.js';

/** Signatures looked at for one manifest and form, the newest first: whoever may push may pile up any number. */
export const MAX_SIGNATURES = 100;
/** Real ones have some 1 to 15 kB, with certificates and log entries. */
const MAX_SIGNATURE_BYTES = 1024 * 1024;

/** What is found where a signature belongs. */
export type Found = StoredSignature | MalformedSignature;

/**
 * Reads the signatures that stand beside a manifest. Every method rejects with OtaError `unavailable` when the registry
 * cannot be asked; what it answers wrongly counts as malformed, so that one broken signature does not hide a good one.
 */
export class SignatureStore {
  constructor(private readonly registry: Registry) {}

  /** Bundles: manifests that refer to it (distribution-spec 1.1, "Listing Referrers"), or stand under the fallback tag. */
  async *bundles(repository: string, manifest: Descriptor, signal: AbortSignal): AsyncGenerator<Found> {
    const referrers = await this.registry.listReferrers(repository, manifest.digest, BUNDLE_TYPE, signal);
    let bytes: Buffer | undefined;
    for (const referrer of newest(referrers)) {
      const found = await attempt(async () => {
        const { content } = await this.registry.fetchManifest(repository, referrer, signal);
        const [layer] = content.kind === 'manifest' ? content.layers : [];
        // An SBOM, say, of which the list of referrers did not tell what it is.
        if (layer?.mediaType !== BUNDLE_TYPE) return undefined;
        const bundle = await this.read(repository, readable(layer), signal);
        bytes ??= (await this.registry.fetchManifest(repository, manifest, signal)).bytes;
        return parseBundle(bundle, bytes);
      });
      if (found) yield found;
    }
    if (referrers.length > MAX_SIGNATURES) yield tooMany(referrers.length);
  }

  /** Legacy signatures: the layers of the manifest under the tag `sha256-HEX.sig` (sigstore/cosign, specs/SIGNATURE_SPEC.md). */
  async *legacy(repository: string, manifest: Descriptor, signal: AbortSignal): AsyncGenerator<Found> {
    const layers = await this.legacyLayers(repository, manifest, signal);
    if (layers instanceof MalformedSignature) {
      yield layers;
      return;
    }
    const payloads = new Map<string, Promise<Buffer>>();
    for (const layer of newest(layers)) {
      yield await attempt(async () => {
        let payload = payloads.get(layer.digest);
        if (!payload) payloads.set(layer.digest, (payload = this.read(repository, layer, signal)));
        return parseLegacy(layer, await payload);
      });
    }
    if (layers.length > MAX_SIGNATURES) yield tooMany(layers.length);
  }

  private async legacyLayers(
    repository: string,
    { digest }: Descriptor,
    signal: AbortSignal,
  ): Promise<readonly Descriptor[] | MalformedSignature> {
    const tag = `${algorithmOf(digest)}-${hexOf(digest).slice(0, 100)}.sig`;
    try {
      const { content } = await this.registry.fetchManifest(
        repository,
        await this.registry.resolve(repository, tag, signal),
        signal,
      );
      if (content.kind !== 'manifest') return new MalformedSignature(`${tag} is an index, expected a manifest`);
      return content.layers.filter(
        (layer): layer is Descriptor => layer.mediaType === SIMPLE_SIGNING_TYPE && !('fault' in layer),
      );
    } catch (error) {
      if (error instanceof OtaError && error.code === 'absent') return [];
      if (error instanceof OtaError && error.code === 'protocol')
        return new MalformedSignature(error.message, { cause: error });
      throw error;
    }
  }

  private async read(repository: string, blob: Descriptor, signal: AbortSignal): Promise<Buffer> {
    if (blob.size > MAX_SIGNATURE_BYTES)
      throw new MalformedSignature(`it has ${blob.size} bytes, over the limit of ${MAX_SIGNATURE_BYTES}`);
    const inline = inlineContent(blob);
    if (inline) return inline;
    const pieces = (await (await this.registry.fetchBlob(repository, blob, signal)).toArray()) as Buffer[];
    return Buffer.concat(pieces);
  }
}

function newest(entries: readonly Descriptor[]): Descriptor[] {
  // Writers add at the end.
  return entries.slice(-MAX_SIGNATURES).reverse();
}

function tooMany(count: number): MalformedSignature {
  return new MalformedSignature(`only the newest ${MAX_SIGNATURES} of ${count} signatures were looked at`);
}

/** What `work` finds; what makes it fail counts as malformed, but for a registry that is away or refuses. */
async function attempt<T>(work: () => Promise<T>): Promise<T | MalformedSignature> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof MalformedSignature) return error;
    if (error instanceof OtaError && (error.code === 'absent' || error.code === 'protocol'))
      return new MalformedSignature(reasonOf(error), { cause: error });
    throw error;
  }
}
