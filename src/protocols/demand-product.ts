import type { Delivery, DeviceRequest } from '../delivery/index.js';
import { OtaError } from '../errors.js';
import type { Release } from '../firmware/index.js';

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
    return await delivery.current(product, request);
  } catch (error) {
    if (OtaError.isAnswer(error)) throw error;
    return undefined;
  }
}
