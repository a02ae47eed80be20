import { withPatience, type Delivery, type DeviceRequest } from '../delivery/index.js';
import { OtaError } from '../errors.js';
import type { Release } from '../firmware/index.js';

/** A report waits no longer for the registry to say whether there is such a product. */
const PRODUCT_WAIT_MS = 3_000;

/**
 * Returns the current release of a product that is to store a report. Rejects for a product without a release, so that
 * strangers cannot fill the store with made-up names. While the registry cannot say, resolves to undefined, and the
 * report is stored.
 */
export async function demandProduct(
  delivery: Delivery,
  product: string,
  request: DeviceRequest,
): Promise<Release | undefined> {
  try {
    return await withPatience(Promise.resolve(delivery.current(product, request)), PRODUCT_WAIT_MS);
  } catch (error) {
    if (OtaError.isAnswer(error)) throw error;
    return undefined;
  }
}
