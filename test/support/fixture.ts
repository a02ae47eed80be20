import { fileURLToPath } from 'node:url';

/** The path of something in `test/fixtures`. */
export function fixture(path: string): string {
  return fileURLToPath(new URL(`../fixtures/${path}`, import.meta.url));
}

/** What `test/fixtures/README.md` says of every repository: what is served, or null for nothing. */
export const FIXTURES = [
  {
    device: 'container-image',
    version: '1.0.0',
    crc: 3079297320,
    size: 16384,
    sha256: 'ffdf311c52cc6ae5110629192d09ac6db66b8e3482abfcb5d9fa623c4cd8cd0b',
  },
  { device: 'empty-blob', version: null },
  {
    device: 'esp32',
    version: '2.0.0-rc.1',
    crc: 2882876107,
    size: 65536,
    sha256: '2f5568224ded16c183c9a3407bd5318c8566b279e0c15b4bb1670d74d916a245',
  },
  {
    device: 'image-index',
    version: '1.0.0',
    crc: 2337989086,
    size: 16384,
    sha256: 'c544b2d7f02ecd946ba72029a1eace790d09115faadb859eadaafac1896343cc',
  },
  {
    device: 'multi-file',
    version: '1.0.0',
    crc: 4141265895,
    size: 4096,
    sha256: 'dab50dd02b7baf25f073f9bc18eb33c1aaac34751fbe04a8999747840c0d21c7',
  },
  { device: 'no-layer', version: null },
  {
    device: 'replayed-legacy',
    version: '1.0.0',
    crc: 979678967,
    size: 16384,
    sha256: '587669fb2cbc2f21591561a34c35b60516c91c9b8470494017078c186a6a703a',
  },
  {
    device: 'signed-bundle',
    version: '1.0.0',
    crc: 1170915906,
    size: 32768,
    sha256: 'c7de9a82903ad048d3b9bf436fcadb531b082f38330d8e504b21734ae2635645',
  },
  {
    device: 'signed-legacy',
    version: '1.0.0',
    crc: 378190314,
    size: 32768,
    sha256: '7883f84e7d1c806391762fd69da692596e9443b7c5b1191616f0357f6a154fe9',
  },
  {
    device: 'unsigned',
    version: '1.0.0',
    crc: 2509711359,
    size: 32768,
    sha256: 'cc4966f9068b4deb8e8957dd63e1c89866d01bb50e4adb1b2a202efb48e730a8',
  },
  {
    device: 'wrong-key-bundle',
    version: '1.0.0',
    crc: 642464603,
    size: 32768,
    sha256: 'de1658518568e2942b595dc07d323ea6d093d5c30f9c8bb80432e9cd8be16ba4',
  },
  {
    device: 'wrong-key-legacy',
    version: '1.0.0',
    crc: 2052735635,
    size: 32768,
    sha256: 'ce850c9019119ee043e9abdb7204cfe74384bc712a60befd9adee738b87361ec',
  },
] as const;

/** Every version of the fixture `esp32`. */
export const ESP32_VERSIONS = [
  {
    version: '1.2.0+build.5',
    crc: 163057106,
    sha256: 'ad26ab95ee8d2299e3095ce4a608f38f5d3f6800839dac6e44cf7ef73355429c',
  },
  { version: '1.2.0', crc: 1146682250, sha256: '870413a0c50672126c3d0a1ac2c0fa42bd40fae9c5209656a4732d671a48224e' },
  { version: '1.0.0', crc: 3061592009, sha256: '9af48299e36fd189a8a437b5908cfb114220e6c30e36683b62b28a0533f00c2c' },
  { version: '1.1.0', crc: 4088605490, sha256: 'e4370422ab224df4bb600c4c7be5eed13db9901aa13b2eab7b493dddc2356ae9' },
  {
    version: '2.0.0-rc.1',
    crc: 2882876107,
    sha256: '2f5568224ded16c183c9a3407bd5318c8566b279e0c15b4bb1670d74d916a245',
  },
] as const;
