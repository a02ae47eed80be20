import { printable } from './identity.js';

/** What the header of an image for a chip of Espressif says. */
export interface EspImage {
  /** Name of the chip as ESPHome and ESP Web Tools write it, such as `ESP32-C3`. Undefined for a chip that is not known. */
  readonly chipFamily: string | undefined;
  /** Number of the chip in the header. Undefined for an ESP8266, whose header has none. */
  readonly chipId: number | undefined;
  /** Lowest revision of the chip on which the image runs: 100 for each major one, and the minor one. 0 if there is none. */
  readonly minChipRevision: number;
  /** Highest revision of the chip. Undefined if there is none. */
  readonly maxChipRevision: number | undefined;
  /** What ESP-IDF has written into the image. Undefined in bootloaders and in images of other tools. */
  readonly app: EspApp | undefined;
}

/** The description of an application: `esp_app_desc_t`. */
export interface EspApp {
  readonly projectName: string | undefined;
  readonly version: string | undefined;
  /** Version of ESP-IDF. */
  readonly idfVersion: string | undefined;
  /** Version for the anti-rollback of the chip. 0 if it is not used. */
  readonly secureVersion: number;
}

/** Bytes of a file that `espImageIn` reads: the header, that of the first segment, and the description. */
export const ESP_IMAGE_BYTES = 24 + 8 + 256;

/** The first byte of an ESP image. */
export const ESP_MAGIC = 0xe9;
const HEADER_BYTES = 24;
const MAX_SEGMENTS = 16;
/** QIO, QOUT, DIO, DOUT, fast and slow read. */
const MAX_FLASH_MODE = 5;
/** Where the memory of an ESP8266 is. An image for it has its first segment where others have more of their header. */
const ESP8266_MEMORY = { start: 0x3ff0_0000, end: 0x4040_0000 } as const;
/** No upper limit of the revision. */
const ANY_REVISION = [0, 0xffff];

const APP_OFFSET = HEADER_BYTES + 8;
const APP_MAGIC = 0xabcd_5432;

/** `esp_chip_id_t` of ESP-IDF. */
const FAMILIES: ReadonlyMap<number, string> = new Map([
  [0x0000, 'ESP32'],
  [0x0002, 'ESP32-S2'],
  [0x0005, 'ESP32-C3'],
  [0x0009, 'ESP32-S3'],
  [0x000c, 'ESP32-C2'],
  [0x000d, 'ESP32-C6'],
  [0x0010, 'ESP32-H2'],
  [0x0012, 'ESP32-P4'],
  [0x0014, 'ESP32-C61'],
  [0x0017, 'ESP32-C5'],
  [0x0019, 'ESP32-H21'],
  [0x001c, 'ESP32-H4'],
]);
const ESP32 = 0x0000;
const ESP32_C3 = 0x0005;

/**
 * Returns what the header of an ESP image says, or undefined if `bytes` is no such image. A gzip image for the ESP8266 is
 * none, because its header is packed.
 *
 * Sources: esp_app_format.h and esp_app_desc.h of ESP-IDF; esptool, for the ESP8266.
 *
 * @param bytes the beginning of the file: ESP_IMAGE_BYTES, fewer if the file or what is known of it is shorter
 */
export function espImageIn(bytes: Buffer): EspImage | undefined {
  if (bytes.length < HEADER_BYTES || bytes[0] !== ESP_MAGIC) return undefined;
  const segments = bytes.readUInt8(1);
  if (segments === 0 || segments > MAX_SEGMENTS || bytes.readUInt8(2) > MAX_FLASH_MODE) return undefined;
  const second = bytes.readUInt32LE(8);
  if (second >= ESP8266_MEMORY.start && second < ESP8266_MEMORY.end)
    return { chipFamily: 'ESP8266', chipId: undefined, minChipRevision: 0, maxChipRevision: undefined, app: undefined };
  // The last byte says whether a hash is appended.
  if (bytes.readUInt8(23) > 1) return undefined;
  const chipId = bytes.readUInt16LE(12);
  const max = bytes.readUInt16LE(17);
  return {
    chipFamily: FAMILIES.get(chipId),
    chipId,
    minChipRevision: bytes.readUInt16LE(15) || oldRevision(chipId, bytes.readUInt8(14)),
    maxChipRevision: ANY_REVISION.includes(max) ? undefined : max,
    app: appIn(bytes),
  };
}

/** Returns the lowest revision in the field of older versions of ESP-IDF: a major one of the ESP32, a minor one of the C3. */
function oldRevision(chipId: number, revision: number): number {
  if (chipId === ESP32) return revision * 100;
  return chipId === ESP32_C3 ? revision : 0;
}

function appIn(bytes: Buffer): EspApp | undefined {
  if (bytes.length < ESP_IMAGE_BYTES || bytes.readUInt32LE(APP_OFFSET) !== APP_MAGIC) return undefined;
  const text = (offset: number): string | undefined => {
    const field = bytes.subarray(APP_OFFSET + offset, APP_OFFSET + offset + 32);
    const end = field.indexOf(0);
    return printable(field.subarray(0, end === -1 ? field.length : end).toString('utf8'));
  };
  return {
    secureVersion: bytes.readUInt32LE(APP_OFFSET + 4),
    version: text(16),
    projectName: text(48),
    idfVersion: text(112),
  };
}
