import type { Firmware } from '../cache/index.js';
import type { Descriptor, Digest } from '../oci/index.js';
import type { Packing } from './firmware-locator.js';

/** Annotations of OCI (`org.opencontainers.image.*`) and of OtaFlux (`vnd.otaflux.*`). Others are not kept. */
export type Annotations = Readonly<Record<string, string>>;

/** Location of the bytes of an image in the registry. */
export interface ImageSource {
  readonly blob: Descriptor;
  readonly packing: Packing;
}

/** One file of a release, according to the manifest. Its bytes are downloaded when a client asks for them first. */
export interface Image {
  /** Name of the file: the title of its layer, otherwise `firmware.bin`. Several images may have the same title. */
  readonly title: string;
  readonly mediaType: string;
  /** Digest of its layer. It identifies the image in its release. */
  readonly digest: Digest;
  /** Size in bytes. Undefined if the file is packed in its layer and has not been downloaded. */
  readonly sizeBytes: number | undefined;
  readonly source: ImageSource;
  /** The annotations of its layer, over those of its manifest, over those of the index. */
  readonly annotations: Annotations;
}

/** Bytes that can be sent to a device: the firmware of a release, or another image of it. */
export interface Deliverable {
  readonly device: string;
  /** The version of the release. */
  readonly version: string;
  /** The digest of the release. */
  readonly manifestDigest: Digest;
  readonly firmware: Firmware;
  readonly source: ImageSource;
  /** The date of the release: `Last-Modified`. */
  readonly currentSince: Date;
}

/** An image whose bytes were downloaded, so that all digests are known. */
export interface StoredImage extends Image, Deliverable {
  readonly sizeBytes: number;
}

/** The content of an artifact. */
export interface Contents {
  /** The image with the firmware first. */
  readonly images: readonly Image[];
  /** The annotations of the manifest with the firmware, over those of its index. */
  readonly annotations: Annotations;
  /** False if the registry did not send a manifest of the index, so that images may be missing. */
  readonly isComplete: boolean;
}
