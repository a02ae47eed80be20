import type { KeyObject } from 'node:crypto';
import { Readable } from 'node:stream';
import { OtaError } from '../../errors.js';
import { algorithmOf, Annotation, digestOf, hexOf, MediaType, type Descriptor, type Index } from '../../oci/index.js';
import type { ArtifactWriter, BlobSource, Registry } from '../../registry/index.js';
import { BUNDLE_TYPE, bundleFor, COSIGN_PREDICATE, legacyPayload, legacySignature } from './signature.js';

/** How a signature is stored: as a Sigstore bundle (cosign v3), or under the tag `sha256-HEX.sig` (cosign v2). */
export type SignForm = 'bundle' | 'legacy';

/** Signs manifests that are in the registry. */
export interface Signer {
  /** Who signs, for people. */
  readonly name: string;
  sign(repository: string, manifest: Descriptor, signal: AbortSignal): Promise<void>;
}

const SIMPLE_SIGNING_TYPE = 'application/vnd.dev.cosign.simplesigning.v1+json';
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json';
const EMPTY = Buffer.from('{}');

/** Signs with a private key, in the forms of cosign. */
export class ManifestSigner implements Signer {
  constructor(
    private readonly registry: Registry,
    private readonly writer: ArtifactWriter,
    private readonly key: KeyObject,
    private readonly form: SignForm,
    readonly name: string,
    /** Returns the name that a legacy signature states: `harbor.example.com/esp32`. */
    private readonly placeOf: (repository: string) => string,
  ) {}

  async sign(repository: string, manifest: Descriptor, signal: AbortSignal): Promise<void> {
    await (this.form === 'bundle'
      ? this.writeBundle(repository, manifest, signal)
      : this.writeLegacy(repository, manifest, signal));
  }

  /** Writes what `cosign sign` v3 writes: a manifest that refers to the signed one. */
  private async writeBundle(repository: string, subject: Descriptor, signal: AbortSignal): Promise<void> {
    const bundle = bundleFor(subject.digest, this.key);
    const layer = blobOf(BUNDLE_TYPE, bundle);
    const config = blobOf(MediaType.ociEmpty, EMPTY);
    const manifest = manifestOf({
      artifactType: BUNDLE_TYPE,
      config: config.descriptor,
      layers: [layer.descriptor],
      annotations: {
        'dev.sigstore.bundle.content': 'dsse-envelope',
        'dev.sigstore.bundle.predicateType': COSIGN_PREDICATE,
        [Annotation.created]: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
      },
      subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size },
    });
    for (const blob of [layer, config]) await this.writer.writeBlob(repository, blob, signal);
    const { descriptor, bytes } = manifest;
    const isListed = await this.writer.writeManifest(repository, descriptor.digest, descriptor, bytes, signal);
    if (!isListed) await this.listReferrer(repository, subject, { ...descriptor, artifactType: BUNDLE_TYPE }, signal);
  }

  /** distribution-spec 1.1, "Pushing Manifests with Subject": registries without the referrers API have a tag for it. */
  private async listReferrer(
    repository: string,
    { digest }: Descriptor,
    referrer: Descriptor,
    signal: AbortSignal,
  ): Promise<void> {
    const tag = `${algorithmOf(digest)}-${hexOf(digest).slice(0, 64)}`;
    const listed = await this.contentOf(repository, tag, signal);
    const manifests = listed?.kind === 'index' ? listed.manifests : [];
    const index = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [...manifests, referrer] };
    const bytes = Buffer.from(JSON.stringify(index));
    const descriptor = { mediaType: MediaType.ociIndex, digest: digestOf(bytes), size: bytes.length };
    await this.writer.writeManifest(repository, tag, descriptor, bytes, signal);
  }

  /** Writes what `cosign sign` v2 writes: a layer more under the tag of the signatures. */
  private async writeLegacy(repository: string, { digest }: Descriptor, signal: AbortSignal): Promise<void> {
    const tag = `${algorithmOf(digest)}-${hexOf(digest).slice(0, 100)}.sig`;
    const payload = legacyPayload(digest, this.placeOf(repository));
    const signature = legacySignature(payload, this.key);
    const layer = blobOf(SIMPLE_SIGNING_TYPE, payload, {
      'dev.cosignproject.cosign/signature': signature.toString('base64'),
    });
    const existing = await this.contentOf(repository, tag, signal);
    const layers = existing?.kind === 'manifest' ? existing.layers : [];
    const all = [...layers, layer.descriptor];
    const config = blobOf(CONFIG_TYPE, imageConfig(all.map((one) => ('digest' in one ? one.digest : ''))));
    const manifest = manifestOf({ config: config.descriptor, layers: all });
    for (const blob of [layer, config]) await this.writer.writeBlob(repository, blob, signal);
    await this.writer.writeManifest(repository, tag, manifest.descriptor, manifest.bytes, signal);
  }

  private async contentOf(repository: string, tag: string, signal: AbortSignal): Promise<Index | Manifest | undefined> {
    try {
      const descriptor = await this.registry.resolve(repository, tag, signal);
      return (await this.registry.fetchManifest(repository, descriptor, signal)).content;
    } catch (error) {
      if (error instanceof OtaError && error.code === 'absent') return undefined;
      throw error;
    }
  }
}

type Manifest = Extract<Awaited<ReturnType<Registry['fetchManifest']>>['content'], { kind: 'manifest' }>;

function blobOf(mediaType: string, bytes: Buffer, annotations?: Record<string, string>): BlobSource {
  const descriptor = { mediaType, size: bytes.length, digest: digestOf(bytes), ...(annotations && { annotations }) };
  return { descriptor, open: () => Readable.from([bytes]) };
}

function manifestOf(content: object): { descriptor: Descriptor; bytes: Buffer } {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MediaType.ociManifest, ...content }));
  return { bytes, descriptor: { mediaType: MediaType.ociManifest, digest: digestOf(bytes), size: bytes.length } };
}

/** The config of an image whose layers are the signatures, as cosign has it. */
function imageConfig(diffIds: readonly string[]): Buffer {
  const config = { architecture: '', created: '0001-01-01T00:00:00Z', history: diffIds.map(() => ({})), os: '' };
  return Buffer.from(JSON.stringify({ ...config, rootfs: { type: 'layers', diff_ids: diffIds }, config: {} }));
}
