import { OtaError } from '../errors.js';

/**
 * An artifact holds no firmware that this server may serve: so say its own bytes (no layer, an empty one, a tar without
 * a file) or this server's settings (`--max-firmware-size`). Nothing that a registry answers later changes that, so it is
 * the one reason that may be remembered for a digest. What a registry itself calls absent is a plain OtaError.
 */
export class NoFirmware extends OtaError {
  constructor(message: string, options?: ErrorOptions) {
    super('absent', message, options);
    this.name = 'NoFirmware';
  }
}
