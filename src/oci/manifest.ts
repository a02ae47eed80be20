import { z } from 'zod';
import { OtaError } from '../errors.js';
import { schemaProblem } from '../schema-problem.js';
import { algorithmOf, digestOf, isDigest, type Digest } from './digest.js';
import { essenceOf, isIndexType, isManifestType, MediaType } from './media-types.js';

/** A content descriptor (image-spec 1.1, descriptor.md). `size` is in bytes. Media types are in lower case. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly artifactType?: string | undefined;
  /** The content itself in base64, if it is small (descriptor.md, "data"). */
  readonly data?: string | undefined;
  readonly platform?: { readonly architecture?: string | undefined; readonly os?: string | undefined } | undefined;
}

/**
 * A layer whose descriptor cannot be parsed, for example because its digest algorithm is unknown. It keeps its place in
 * the list.
 */
export interface UnreadableLayer {
  readonly fault: string;
  readonly mediaType: string;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** An image manifest (image-spec 1.1, manifest.md) or a Docker schema 2 manifest. */
export interface Manifest {
  readonly kind: 'manifest';
  readonly mediaType: string;
  readonly artifactType?: string | undefined;
  /** Undefined if it cannot be parsed. Nothing here needs it. */
  readonly config: Descriptor | undefined;
  readonly layers: readonly (Descriptor | UnreadableLayer)[];
  readonly subject?: Descriptor | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** An image index (image-spec 1.1, image-index.md) or a Docker manifest list. */
export interface Index {
  readonly kind: 'index';
  readonly mediaType: string;
  readonly artifactType?: string | undefined;
  /** The entries that can be parsed. */
  readonly manifests: readonly Descriptor[];
  readonly subject?: Descriptor | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/**
 * Bytes that are not a manifest, whatever their source. If their digest is right, no later answer of a registry changes
 * that.
 */
export class MalformedManifest extends OtaError {
  constructor(message: string, options?: ErrorOptions) {
    super('protocol', message, options);
    this.name = 'MalformedManifest';
  }
}

/** Larger manifests are refused (distribution-spec 1.1, "Pushing manifests": registries should accept 4 MiB). */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

/** Accepts a field that is missing, null or wrong, if nothing depends on it. */
const optional = <T extends z.ZodType>(schema: T): z.ZodCatch<z.ZodOptional<T>> => schema.optional().catch(undefined);

/** Keeps the annotations whose values are texts. */
const annotations = optional(
  z
    .record(z.string(), z.unknown())
    .transform((all) =>
      Object.fromEntries(
        Object.entries(all).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
      ),
    ),
);
const mediaType = z.string().min(1).transform(essenceOf);
const digest = z
  .string()
  .refine(isDigest, 'expected a sha256 or sha512 digest')
  .transform((text) => text);

const descriptorSchema = z.object({
  mediaType,
  digest,
  size: z.number().int().nonnegative(),
  annotations,
  artifactType: optional(mediaType),
  data: optional(z.string().min(1)),
  platform: optional(z.object({ architecture: optional(z.string()), os: optional(z.string()) })),
});

const common = {
  schemaVersion: z.literal(2),
  artifactType: optional(mediaType),
  subject: optional(descriptorSchema),
  annotations,
};
const manifestSchema = z.object({
  ...common,
  config: z.custom<unknown>((value) => value !== undefined, 'is missing'),
  layers: z.array(z.unknown()).nullable(),
});
const indexSchema = z.object({ ...common, manifests: z.array(z.unknown()).nullable() });

/**
 * Returns the manifest or index in `bytes`.
 *
 * @param mediaType the media type according to the registry or the descriptor. The `mediaType` in the body must be the
 *   same (image-spec 1.1, manifest.md). If it is empty, the media type in the body counts.
 * @throws MalformedManifest, an OtaError `protocol`, if the bytes are not JSON, have another or an unknown type, or
 *   lack a field that the type requires
 */
export function parseManifest(bytes: Uint8Array, mediaType: string): Manifest | Index {
  const body = parseJson(bytes);
  const type = agreedType(body, mediaType);
  if (isManifestType(type)) {
    const { config, layers, ...rest } = check(manifestSchema, body, type);
    return {
      kind: 'manifest',
      mediaType: type,
      ...rest,
      config: descriptorSchema.safeParse(config).data,
      layers: layersOf(layers ?? [], type),
    };
  }
  const { manifests, ...rest } = check(indexSchema, body, type);
  const entries = understood(manifests ?? []);
  if (manifests && manifests.length > 0 && entries.length === 0)
    check(descriptorSchema, manifests[0], `${type}: manifests.0`);
  return { kind: 'index', mediaType: type, ...rest, manifests: entries };
}

/** Returns the descriptors in `values` that can be parsed, without the others. */
export function understood(values: readonly unknown[]): Descriptor[] {
  return values.flatMap((value) => descriptorSchema.safeParse(value).data ?? []);
}

/** Returns `layer`. Throws OtaError `protocol` if its descriptor cannot be parsed. */
export function readable(layer: Descriptor | UnreadableLayer): Descriptor {
  if ('fault' in layer) throw new MalformedManifest(layer.fault);
  return layer;
}

/** Returns the layers in their order. Throws if there are layers and none can be parsed. */
function layersOf(entries: readonly unknown[], type: string): (Descriptor | UnreadableLayer)[] {
  const layers = entries.map((entry, i) => {
    const parsed = descriptorSchema.safeParse(entry);
    return parsed.success ? parsed.data : unreadable(entry, faultOf(`${type}: layers.${i}`, parsed.error));
  });
  const [first] = layers;
  if (first && layers.every((layer) => 'fault' in layer)) readable(first);
  return layers;
}

function unreadable(entry: unknown, fault: string): UnreadableLayer {
  const parsed = z.object({ mediaType: optional(mediaType), annotations }).safeParse(entry);
  return { fault, mediaType: parsed.data?.mediaType ?? '', annotations: parsed.data?.annotations };
}

/** Returns `value` as a descriptor. Throws OtaError `protocol` if it is not a descriptor. */
export function parseDescriptor(value: unknown): Descriptor {
  return check(descriptorSchema, value, 'descriptor');
}

function parseJson(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (error) {
    throw new MalformedManifest('the manifest is not valid JSON. Push it again', { cause: error });
  }
  throw new MalformedManifest('the manifest is not a JSON object. Push it again');
}

function agreedType(body: Record<string, unknown>, declared: string): string {
  const own = typeof body.mediaType === 'string' ? essenceOf(body.mediaType) || undefined : undefined;
  const type =
    essenceOf(declared) || own || (Array.isArray(body.manifests) ? MediaType.ociIndex : MediaType.ociManifest);
  if (body.schemaVersion === 1 || type === MediaType.dockerSchema1 || type === MediaType.dockerSchema1Signed) {
    throw new MalformedManifest(
      'Docker image manifest schema 1 is not supported. Push the image again with a current client',
    );
  }
  if (!isManifestType(type) && !isIndexType(type))
    throw new MalformedManifest(
      `the manifest has the unknown media type ${JSON.stringify(type)}, expected an OCI or Docker manifest`,
    );
  if (own !== undefined && own !== type) {
    throw new MalformedManifest(
      `the manifest states media type ${JSON.stringify(own)}, but the registry sent it as ${JSON.stringify(type)}. Push it again`,
    );
  }
  return type;
}

function check<T>(schema: z.ZodType<T>, body: unknown, type: string): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw new MalformedManifest(faultOf(type, result.error));
}

function faultOf(where: string, error: z.ZodError): string {
  const [type, rest] = where.split(': ');
  return `malformed ${type ?? ''}: ${schemaProblem(error, rest)}. Push it again`;
}

/**
 * Returns the content that is embedded in `descriptor`, or undefined. Throws OtaError `protocol` if its size or digest
 * differs.
 */
export function inlineContent(descriptor: Descriptor): Buffer | undefined {
  if (descriptor.data === undefined) return undefined;
  const bytes = Buffer.from(descriptor.data, 'base64');
  if (bytes.length !== descriptor.size) {
    throw new OtaError(
      'protocol',
      `the inline content of ${descriptor.digest} has ${bytes.length} bytes, expected ${descriptor.size}. Push it again`,
    );
  }
  if (digestOf(bytes, algorithmOf(descriptor.digest)) !== descriptor.digest) {
    throw new OtaError(
      'protocol',
      `the inline content is not ${descriptor.digest}: its bytes have another digest. Push it again`,
    );
  }
  return bytes;
}
