import { OtaError } from '../errors.js';

/**
 * An artifact has no firmware that this server may serve, because of its own bytes (no layer, an empty layer, a tar
 * without a file) or because of a setting (`--max-firmware-size`). No later answer of the registry changes that, so it
 * is the only reason that is remembered for a digest. If the registry itself answers `absent`, the error is a plain
 * OtaError.
 */
export class NoFirmware extends OtaError {
  constructor(message: string, options?: ErrorOptions) {
    super('absent', message, options);
    this.name = 'NoFirmware';
  }
}
