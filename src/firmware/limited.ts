import { NoFirmware } from './no-firmware.js';

/** The pieces of `source`; fails with NoFirmware as soon as they are more than `maxBytes`. */
export async function* limited(source: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  let length = 0;
  for await (const piece of source) {
    length += piece.length;
    if (length > maxBytes) throw tooLarge(maxBytes);
    yield piece;
  }
}

/** Firmware, or what it is packed in, exceeds the limit: another version may not. */
export function tooLarge(maxBytes: number): NoFirmware {
  return new NoFirmware(
    `the firmware has more than ${maxBytes} bytes (--max-firmware-size). Raise the limit, or push a smaller file`,
  );
}
