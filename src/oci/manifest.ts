import { z } from 'zod';
import { OtaError, reasonOf } from '../errors.js';
import { algorithmOf, digestOf, isDigest, type Digest } from './digest.js';
import { isIndexType, isManifestType, MediaType } from './media-types.js';

/** A content descriptor (image-spec 1.1, descriptor.md). `size` is in bytes. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly artifactType?: string | undefined;
  /** The content itself, base64, when it is small (descriptor.md, "data"). */
  readonly data?: string | undefined;
  readonly platform?: { readonly architecture: string; readonly os: string } | undefined;
}

/** An image manifest (image-spec 1.1, manifest.md) or a Docker schema 2 manifest. */
export interface Manifest {
  readonly kind: 'manifest';
  readonly mediaType: string;
  readonly artifactType?: string | undefined;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** An image index (image-spec 1.1, image-index.md) or a Docker manifest list. */
export interface Index {
  readonly kind: 'index';
  readonly mediaType: string;
  readonly artifactType?: string | undefined;
  readonly manifests: readonly Descriptor[];
  readonly subject?: Descriptor | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** Larger manifests are refused (distribution-spec 1.1, "Pushing manifests": registries should accept 4 MiB). */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

const annotations = z
  .record(z.string(), z.string())
  .nullish()
  .transform((value) => value ?? undefined);
const digest = z
  .string()
  .refine(isDigest, 'is no sha256 or sha512 digest')
  .transform((text) => text);

const descriptorSchema = z.object({
  mediaType: z.string().min(1),
  digest,
  size: z.number().int().nonnegative(),
  annotations,
  artifactType: z.string().optional(),
  data: z.string().optional(),
  platform: z.object({ architecture: z.string(), os: z.string() }).optional(),
});

const common = {
  schemaVersion: z.literal(2),
  artifactType: z.string().optional(),
  subject: descriptorSchema.nullish().transform((value) => value ?? undefined),
  annotations,
};
const manifestSchema = z.object({ ...common, config: descriptorSchema, layers: z.array(descriptorSchema).nullable() });
const indexSchema = z.object({ ...common, manifests: z.array(descriptorSchema).nullable() });

/**
 * The manifest or index in `bytes`.
 *
 * @param mediaType what the registry or the descriptor calls it; it decides, and the body's own `mediaType` must agree
 *   (image-spec 1.1, manifest.md). An empty one means that nobody said: then the body's own decides.
 * @throws OtaError `protocol` when it is not JSON, of another or an unknown type, or lacks what the type demands.
 */
export function parseManifest(bytes: Uint8Array, mediaType: string): Manifest | Index {
  const body = parseJson(bytes);
  const type = agreedType(body, mediaType);
  if (isManifestType(type)) {
    const { layers, ...rest } = check(manifestSchema, body, type);
    return { kind: 'manifest', mediaType: type, ...rest, layers: layers ?? [] };
  }
  const { manifests, ...rest } = check(indexSchema, body, type);
  return { kind: 'index', mediaType: type, ...rest, manifests: manifests ?? [] };
}

/** `value` as a descriptor; throws OtaError `protocol` when it is none. */
export function parseDescriptor(value: unknown): Descriptor {
  return check(descriptorSchema, value, 'descriptor');
}

function parseJson(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (error) {
    throw new OtaError('protocol', `manifest is not JSON: ${reasonOf(error)}`, { cause: error });
  }
  throw new OtaError('protocol', 'manifest is not a JSON object');
}

function agreedType(body: Record<string, unknown>, declared: string): string {
  const own = typeof body.mediaType === 'string' ? body.mediaType : undefined;
  const type = declared || own || (Array.isArray(body.manifests) ? MediaType.ociIndex : MediaType.ociManifest);
  if (body.schemaVersion === 1 || type === MediaType.dockerSchema1 || type === MediaType.dockerSchema1Signed) {
    throw new OtaError(
      'protocol',
      'Docker image manifest schema 1 is not supported; push the image again with a current client',
    );
  }
  if (!isManifestType(type) && !isIndexType(type))
    throw new OtaError('protocol', `unknown manifest media type ${JSON.stringify(type)}`);
  if (own !== undefined && own !== type) {
    throw new OtaError(
      'protocol',
      `manifest calls itself ${JSON.stringify(own)}, but it was served as ${JSON.stringify(type)}`,
    );
  }
  return type;
}

function check<T>(schema: z.ZodType<T>, body: unknown, type: string): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new OtaError('protocol', `bad ${type}: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`.trim());
}

/** The content that `descriptor` carries in itself, or undefined; throws OtaError `protocol` when its size or digest is another. */
export function inlineContent(descriptor: Descriptor): Buffer | undefined {
  if (descriptor.data === undefined) return undefined;
  const bytes = Buffer.from(descriptor.data, 'base64');
  if (bytes.length !== descriptor.size) {
    throw new OtaError(
      'protocol',
      `inline content of ${descriptor.digest} has ${bytes.length} bytes, expected ${descriptor.size}`,
    );
  }
  if (digestOf(bytes, algorithmOf(descriptor.digest)) !== descriptor.digest) {
    throw new OtaError('protocol', `inline content is not ${descriptor.digest}: its bytes have another digest`);
  }
  return bytes;
}
