import { OtaError, reasonOf } from '../../errors.js';
import {
  algorithmOf,
  hexOf,
  inlineContent,
  isManifestType,
  MalformedManifest,
  readable,
  type Descriptor,
  type UnreadableLayer,
} from '../../oci/index.js';
import type { FetchedManifest, Registry } from '../../registry/index.js';
import { WrongSize } from '../../registry/wrong-size.js';
import { BUNDLE_TYPE, parseBundle } from './bundle-signature.js';
import { parseLegacy, SIMPLE_SIGNING_TYPE } from './legacy-signature.js';
import { MalformedSignature, type StoredSignature } from './stored-signature.js';

/**
 * Maximum number of signatures to check for one manifest and form, newest first. Somebody who can push could add any
 * number.
 */
export const MAX_SIGNATURES = 100;
/** Signatures have 1 to 15 kB, with certificates and log entries. */
const MAX_SIGNATURE_BYTES = 1024 * 1024;

/**
 * After so many signatures of one form that could not be fetched, the search ends. Each may take a complete timeout.
 */
const MAX_UNAVAILABLE = 3;

/** A signature, a malformed signature, or the OtaError with which reading it failed. */
export type Found = StoredSignature | MalformedSignature | OtaError;

/**
 * Reads the signatures of a manifest. A signature that cannot be read does not hide the others: its OtaError is
 * yielded. Bytes that were read but are not a signature are yielded as malformed. Every method rejects with OtaError
 * `unavailable`, `denied` or `protocol` if the signatures cannot be listed.
 */
export class SignatureStore {
  constructor(private readonly registry: Registry) {}

  /**
   * Yields bundles: manifests that refer to `manifest` (distribution-spec 1.1, "Listing Referrers"), or that are listed
   * under the fallback tag.
   */
  async *bundles(repository: string, manifest: Descriptor, signal: AbortSignal): AsyncGenerator<Found> {
    const referrers = await this.registry.listReferrers(repository, manifest.digest, BUNDLE_TYPE, signal);
    const patience = new Patience();
    let bytes: Buffer | undefined;
    for (const referrer of newest(referrers)) {
      if (patience.ended) return;
      const found = await patience.attempt(async () => {
        if (!isManifestType(referrer.mediaType)) throw new MalformedSignature(`it is of type ${referrer.mediaType}`);
        const { content } = await this.registry.fetchManifest(repository, referrer, signal);
        const [layer] = content.kind === 'manifest' ? content.layers : [];
        // For example an SBOM whose type is missing in the list of referrers.
        if (layer?.mediaType !== BUNDLE_TYPE) return undefined;
        const bundle = await this.read(repository, layer, signal);
        bytes ??= (await broken(this.registry.fetchManifest(repository, manifest, signal))).bytes;
        return parseBundle(bundle, bytes);
      });
      if (found) yield found;
    }
    if (referrers.length > MAX_SIGNATURES) yield tooMany(referrers.length);
  }

  /**
   * Yields legacy signatures: the layers of the manifest under the tag `sha256-HEX.sig` (sigstore/cosign,
   * specs/SIGNATURE_SPEC.md).
   */
  async *legacy(repository: string, manifest: Descriptor, signal: AbortSignal): AsyncGenerator<Found> {
    const layers = await this.legacyLayers(repository, manifest, signal);
    if (layers instanceof MalformedSignature) {
      yield layers;
      return;
    }
    const patience = new Patience();
    const payloads = new Map<string, Promise<Buffer>>();
    for (const layer of newest(layers)) {
      if (patience.ended) return;
      yield await patience.attempt(async () => {
        let payload = payloads.get(layer.digest);
        if (!payload) payloads.set(layer.digest, (payload = this.read(repository, layer, signal)));
        return parseLegacy(layer, await payload);
      });
    }
    if (layers.length > MAX_SIGNATURES) yield tooMany(layers.length);
  }

  /**
   * Rejects with OtaError if `manifest` does not exist: HEAD may have returned a digest that the registry does not
   * store.
   */
  async demand(repository: string, manifest: Descriptor, signal: AbortSignal): Promise<void> {
    await broken(this.registry.fetchManifest(repository, manifest, signal)).catch((error: unknown) => {
      if (!(error instanceof MalformedManifest)) throw error;
    });
  }

  private async legacyLayers(
    repository: string,
    { digest }: Descriptor,
    signal: AbortSignal,
  ): Promise<readonly Descriptor[] | MalformedSignature> {
    const tag = `${algorithmOf(digest)}-${hexOf(digest).slice(0, 100)}.sig`;
    let descriptor: Descriptor;
    try {
      descriptor = await this.registry.resolve(repository, tag, signal);
    } catch (error) {
      if (error instanceof OtaError && error.code === 'absent') return [];
      throw error;
    }
    let content: FetchedManifest['content'];
    try {
      ({ content } = await broken(this.registry.fetchManifest(repository, descriptor, signal)));
    } catch (error) {
      if (error instanceof MalformedManifest) return new MalformedSignature(error.message, { cause: error });
      throw error;
    }
    if (content.kind !== 'manifest')
      return new MalformedSignature(`${tag} is an index, expected a manifest. Sign it again with cosign`);
    return content.layers.filter(
      (layer): layer is Descriptor => layer.mediaType === SIMPLE_SIGNING_TYPE && !('fault' in layer),
    );
  }

  private async read(repository: string, layer: Descriptor | UnreadableLayer, signal: AbortSignal): Promise<Buffer> {
    const blob = wellFormed(() => readable(layer));
    if (blob.size > MAX_SIGNATURE_BYTES)
      throw new MalformedSignature(`it has ${blob.size} bytes, more than the limit of ${MAX_SIGNATURE_BYTES}`);
    const inline = wellFormed(() => inlineContent(blob));
    if (inline) return inline;
    try {
      return await this.fetch(repository, blob, signal);
    } catch (error) {
      if (!(error instanceof WrongSize) || error.offered > MAX_SIGNATURE_BYTES) throw error;
      // If the bytes have the right digest, the signature states a wrong size.
      await this.fetch(repository, { ...blob, size: error.offered }, signal);
      throw new MalformedSignature(error.message, { cause: error });
    }
  }

  private async fetch(repository: string, blob: Descriptor, signal: AbortSignal): Promise<Buffer> {
    return Buffer.concat((await (await this.registry.fetchBlob(repository, blob, signal)).toArray()) as Buffer[]);
  }
}

/**
 * Returns the result of `work`. An `absent` in it becomes `protocol`, because the registry lists something that it does
 * not store.
 */
async function broken<T>(work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    if (error instanceof OtaError && error.code === 'absent')
      throw new OtaError('protocol', error.message, { cause: error });
    throw error;
  });
}

/** Returns the result of `work`, which parses bytes that are known to be those of the signature. */
function wellFormed<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new MalformedSignature(reasonOf(error), { cause: error });
  }
}

function newest(entries: readonly Descriptor[]): Descriptor[] {
  // Writers append at the end.
  return entries.slice(-MAX_SIGNATURES).reverse();
}

function tooMany(count: number): MalformedSignature {
  return new MalformedSignature(
    `only the newest ${MAX_SIGNATURES} of ${count} signatures are checked. Delete old ones`,
  );
}

/** Reads one signature after the other, until too many could not be fetched. */
class Patience {
  private unavailable = 0;

  get ended(): boolean {
    return this.unavailable >= MAX_UNAVAILABLE;
  }

  /** Returns the result of `work`: a signature, why it is malformed, or why it could not be read. */
  async attempt<T>(work: () => Promise<T>): Promise<T | MalformedSignature | OtaError> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof MalformedSignature) return error;
      if (!(error instanceof OtaError)) throw error;
      // An entry that does not exist is not a signature. A list under the fallback tag may contain deleted entries.
      if (error.code === 'absent' || error instanceof MalformedManifest)
        return new MalformedSignature(reasonOf(error), { cause: error });
      if (error.code === 'unavailable') this.unavailable++;
      return error;
    }
  }
}
