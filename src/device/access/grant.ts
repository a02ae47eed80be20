import type { Identity } from '../../identity.js';

/** What credentials are good for: all units of a product, or one of them. */
export interface Grant {
  readonly product: string;
  readonly unit: string | undefined;
}

/**
 * Reads `PRODUCT` or `PRODUCT#UNIT`. A repository name contains no `#`, so the first one separates the two.
 */
export function grantIn(text: string): Grant {
  const mark = text.indexOf('#');
  return mark === -1
    ? { product: text, unit: undefined }
    : { product: text.slice(0, mark), unit: text.slice(mark + 1) };
}

/**
 * Returns whether a grant covers a request. The credentials of a unit are valid for no other unit. They are also valid for
 * a request that names no unit, because many clients do not say which unit they are.
 */
export function covers({ product, unit }: Grant, identity: Identity): boolean {
  return product === identity.product && isUnit(unit, identity);
}

/** Returns whether a grant for `unit`, or for all units if that is undefined, covers the unit of a request. */
export function isUnit(unit: string | undefined, identity: Identity): boolean {
  return unit === undefined || identity.unit === undefined || unit === identity.unit;
}
