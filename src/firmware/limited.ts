import { NoFirmware } from './no-firmware.js';

/** Yields the pieces of `source`. Fails with NoFirmware as soon as there are more than `maxBytes`. */
export async function* limited(source: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  let length = 0;
  for await (const piece of source) {
    length += piece.length;
    if (length > maxBytes) throw tooLarge(maxBytes);
    yield piece;
  }
}

/** Returns the error for firmware, or its archive, that exceeds the limit. Another version may be smaller. */
export function tooLarge(maxBytes: number): NoFirmware {
  return new NoFirmware(
    `the firmware has more than ${maxBytes} bytes (--max-firmware-size). Raise the limit, or push a smaller file`,
  );
}
