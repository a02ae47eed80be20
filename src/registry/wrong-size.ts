import { OtaError } from '../errors.js';

/**
 * A server offers a blob with another size than its descriptor states. One of the two is wrong, and the digest shows
 * which.
 */
export class WrongSize extends OtaError {
  constructor(
    message: string,
    /** In bytes. */
    readonly offered: number,
  ) {
    super('protocol', message);
    this.name = 'WrongSize';
  }
}
