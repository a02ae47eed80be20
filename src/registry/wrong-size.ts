import { OtaError } from '../errors.js';

/** A blob is offered with another size than its descriptor states: one of the two is wrong, and the digest says which. */
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
