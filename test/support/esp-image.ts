import { firmwareBytes } from './bytes.js';

/** What an image for a chip of Espressif is built with. */
export interface EspBuild {
  /** `esp_chip_id_t`, or `esp8266`. */
  readonly chip?: number | 'esp8266';
  readonly minRevision?: number;
  readonly maxRevision?: number;
  /** The field of older versions of ESP-IDF. */
  readonly oldMinRevision?: number;
  readonly app?: { readonly version: string; readonly projectName: string } | undefined;
  readonly sizeBytes?: number;
  readonly seed?: string;
}

/** Returns an image as esptool writes it (esp_app_format.h, esp_app_desc.h), with random code behind its headers. */
export function espImage({
  chip = 0,
  minRevision = 0,
  maxRevision = 0xffff,
  oldMinRevision = 0,
  app,
  sizeBytes = 20_000,
  seed = 'esp',
}: EspBuild = {}): Buffer {
  const image = Buffer.from(firmwareBytes(sizeBytes, seed));
  image.set([0xe9, 6, 2, 0x20]);
  if (chip === 'esp8266') {
    image.writeUInt32LE(0x4010_f3e8, 4);
    image.writeUInt32LE(0x4010_f000, 8);
    return image;
  }
  image.writeUInt32LE(0x4008_3af4, 4);
  image.set([0xee, 0, 0, 0], 8);
  image.writeUInt16LE(chip, 12);
  image.writeUInt8(oldMinRevision, 14);
  image.writeUInt16LE(minRevision, 15);
  image.writeUInt16LE(maxRevision, 17);
  image.fill(0, 19, 23);
  image.writeUInt8(1, 23);
  image.writeUInt32LE(0x3f40_0020, 24);
  image.writeUInt32LE(0x8000, 28);
  if (!app) return image;
  image.fill(0, 32, 32 + 256);
  image.writeUInt32LE(0xabcd_5432, 32);
  image.write(app.version, 32 + 16, 32, 'utf8');
  image.write(app.projectName, 32 + 48, 32, 'utf8');
  image.write('v5.3.1', 32 + 112, 32, 'utf8');
  return image;
}
