/** Media types that OtaFlux reads or writes, by their specification. */
export const MediaType = {
  /** image-spec 1.1, media-types.md */
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociEmpty: 'application/vnd.oci.empty.v1+json',
  ociTar: 'application/vnd.oci.image.layer.v1.tar',
  /** Docker image manifest V2, schema 2 */
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  /** Docker schema 1. Nobody writes it any more, and OtaFlux does not read it. */
  dockerSchema1: 'application/vnd.docker.distribution.manifest.v1+json',
  dockerSchema1Signed: 'application/vnd.docker.distribution.manifest.v1+prettyjws',
  octetStream: 'application/octet-stream',
  /** The type of images for the Rust OtaFlux and its ESP32 client. */
  espFirmware: 'application/vnd.espressif.esp32.firmware.v1+binary',
} as const;

/** Annotation keys (image-spec 1.1, annotations.md), and the key by which ORAS marks a packed folder. */
export const Annotation = {
  title: 'org.opencontainers.image.title',
  created: 'org.opencontainers.image.created',
  refName: 'org.opencontainers.image.ref.name',
  version: 'org.opencontainers.image.version',
  orasUnpack: 'io.deis.oras.content.unpack',
  dockerReferenceType: 'vnd.docker.reference.type',
} as const;

/** The manifest types in `Accept`. A registry converts or refuses other types. */
export const MANIFEST_ACCEPT = [
  MediaType.ociManifest,
  MediaType.ociIndex,
  MediaType.dockerManifest,
  MediaType.dockerList,
].join(', ');

/** Returns a media type in lower case and without parameters, so that it can be compared (RFC 9110, section 8.3.1). */
export function essenceOf(mediaType: string): string {
  return (mediaType.split(';', 1)[0] ?? '').trim().toLowerCase();
}

/** Returns whether `mediaType` is that of an image manifest, of OCI or Docker. */
export function isManifestType(mediaType: string): boolean {
  const type = essenceOf(mediaType);
  return type === MediaType.ociManifest || type === MediaType.dockerManifest;
}

/** Returns whether `mediaType` is that of an image index, or of a Docker manifest list. */
export function isIndexType(mediaType: string): boolean {
  const type = essenceOf(mediaType);
  return type === MediaType.ociIndex || type === MediaType.dockerList;
}

/** Returns how a layer is packed according to its media type: OCI and Docker layers, distributable or not. */
export function packingOf(mediaType: string): 'none' | 'tar' | 'tar+gzip' | 'tar+zstd' {
  const match =
    /^application\/vnd\.(?:oci\.image\.layer(?:\.nondistributable)?\.v1\.tar(?:\+(gzip|zstd))?|docker\.image\.rootfs\.(?:foreign\.)?diff\.tar(?:\.(gzip|zstd))?)$/.exec(
      essenceOf(mediaType),
    );
  if (!match) return 'none';
  const compression = match[1] ?? match[2];
  return compression === undefined ? 'tar' : compression === 'gzip' ? 'tar+gzip' : 'tar+zstd';
}
