import { describe, expect, it } from '@jest/globals';
import { gzipSync } from 'node:zlib';
import { firmwareBytes } from '../test/support/bytes.js';
import { espImage } from '../test/support/esp-image.js';
import { ESP_IMAGE_BYTES, espImageIn } from './esp-image.js';

describe('the header of an ESP image', () => {
  it.each([
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
    ['esp8266', 'ESP8266'],
    [0x7777, undefined],
  ] as const)('of chip %s names %s', (chip, chipFamily) => {
    expect(espImageIn(espImage({ chip }).subarray(0, ESP_IMAGE_BYTES))?.chipFamily).toBe(chipFamily);
    expect(espImageIn(espImage({ chip }).subarray(0, 24))?.chipFamily).toBe(chipFamily);
  });

  it('names project and version of the application', () => {
    const image = espImage({ chip: 9, app: { version: '1.2.0', projectName: 'sensor' } });
    expect(espImageIn(image)).toMatchObject({
      chipId: 9,
      app: { version: '1.2.0', projectName: 'sensor', idfVersion: 'v5.3.1', secureVersion: 0 },
    });
  });

  it('has texts of 32 bytes without an end, and drops what cannot be printed', () => {
    const app = { version: 'v'.repeat(32), projectName: '\u0001' };
    expect(espImageIn(espImage({ app }))?.app).toMatchObject({ version: app.version, projectName: undefined });
  });

  it.each([
    [{ chip: 5, minRevision: 3, maxRevision: 199 }, 3, 199],
    [{ chip: 0, minRevision: 300, oldMinRevision: 3 }, 300, undefined],
    [{ chip: 0, oldMinRevision: 3, maxRevision: 0 }, 300, undefined],
    [{ chip: 5, oldMinRevision: 3, maxRevision: 0 }, 3, undefined],
    [{ chip: 9, oldMinRevision: 3 }, 0, undefined],
  ])('with the revisions of %j', (build, minChipRevision, maxChipRevision) => {
    expect(espImageIn(espImage(build))).toMatchObject({ minChipRevision, maxChipRevision });
  });

  it.each([
    ['no bytes', Buffer.alloc(0)],
    ['a short file', espImage().subarray(0, 23)],
    ['a gzip image', gzipSync(espImage({ chip: 'esp8266' }))],
    ['a factory image of an ESP32, which begins with empty flash', Buffer.alloc(0x1000, 0xff)],
    ['other bytes', firmwareBytes(5_000)],
    ['other bytes with the same first one', Buffer.concat([Buffer.from([0xe9]), Buffer.alloc(500, 0xaa)])],
    ['no segments', Buffer.concat([Buffer.from([0xe9]), Buffer.alloc(500)])],
  ])('is not in %s', (_what, bytes) => {
    expect(espImageIn(bytes)).toBeUndefined();
  });
});
