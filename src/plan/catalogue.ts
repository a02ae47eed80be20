import type { Plan } from './plan.js';

/** A release that can be offered, as far as the selection needs it. */
export interface Servable {
  /** Semantic version without `v`. */
  readonly version: string;
  readonly manifestDigest: string;
  /** What the release demands of a unit (annotations `vnd.otaflux.hardware` and `vnd.otaflux.requires`). */
  readonly conditions?:
    | {
        readonly fitsHardware: ((hardware: string) => boolean) | undefined;
        readonly fitsVersion: ((running: string) => boolean) | undefined;
      }
    | undefined;
}

/**
 * What is servable of a product: the trusted releases of interest, newest first, and the plan. Without a plan, its only
 * release is the current one.
 */
export interface Catalogue<R extends Servable = Servable> {
  readonly product: string;
  readonly plan: Plan | undefined;
  /** Newest first, each version once. */
  readonly releases: readonly R[];
}
