import type { Servable } from '../plan/index.js';
import type { Descriptor, Digest } from '../oci/index.js';
import type { Signer } from '../signature/index.js';
import { conditionsIn, type Conditions } from './conditions.js';
import type { Annotations } from './image.js';
import type { Release } from './release.js';

/** A verified version of a product with a plan. Its firmware is pulled when it is offered first. */
export class CatalogueEntry implements Servable {
  /** The release, after its firmware was pulled. */
  release: Release | undefined;
  /** When it was last offered, on the clock of `performance.now()`. */
  toldAtMs = -Infinity;
  readonly conditions: Conditions | undefined;

  constructor(
    readonly product: string,
    readonly version: string,
    readonly tag: string,
    /** The manifest or index of the tag. */
    readonly manifest: Descriptor,
    readonly signer: Signer | undefined,
    /** Whether only the manifest with the firmware is signed, and not its index. */
    readonly coversManifestOnly: boolean,
    annotations: Annotations,
  ) {
    this.conditions = conditionsIn({ device: product, version, annotations });
  }

  get manifestDigest(): Digest {
    return this.manifest.digest;
  }

  /** Returns whether a unit must run certain versions to take it. */
  get isDemanding(): boolean {
    return this.conditions?.fitsVersion !== undefined;
  }
}
