import { OtaError } from '../errors.js';
import type { Digest } from '../oci/index.js';

/**
 * The plan in the registry must not be taken: `untrusted` if it has no valid signature or is for another product,
 * `protocol` if it cannot be read, breaks the schema, or is older than a plan that was seen before. It says nothing about
 * the firmware, so it withdraws nothing that devices get already.
 */
export class PlanRefused extends OtaError {
  constructor(
    code: 'untrusted' | 'protocol',
    message: string,
    /** The manifest of the plan, as far as it is known. */
    readonly digest: Digest | undefined,
    options?: ErrorOptions,
  ) {
    super(code, message, options);
    this.name = 'PlanRefused';
  }
}
