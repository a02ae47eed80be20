import { request } from 'node:http';
import { crc32 } from 'node:zlib';
import { megabytes } from './screen.mjs';

/** Speed of the simulated flash, in bytes per second: slow enough that the download can be seen. */
const FLASH_BYTES_PER_SECOND = 400_000;

/** A simulated device: asks for its version, downloads another version than it runs, checks it and "restarts". */
export class Device {
  running;

  constructor(baseUrl, id, screen) {
    this.baseUrl = baseUrl;
    this.id = id;
    this.screen = screen;
  }

  say(what) {
    this.screen.say(this.id, what);
  }

  /** Asks once. Resolves to whether the device has installed another version. */
  async check() {
    const answer = await this.get('version');
    if (answer.statusCode !== 200) {
      this.say(`asks for its version and gets ${answer.statusCode}: ${await text(answer)}`);
      return false;
    }
    const [version, checksum, size] = (await text(answer)).split('\n');
    if (version === this.running) return false;
    this.say(`runs ${this.running ?? 'no firmware'}`);
    this.say(`is offered ${version}: ${size} bytes, CRC-32 ${checksum}`);
    const firmware = await this.download(version, Number(size));
    if (firmware.length !== Number(size)) throw new Error(`received ${firmware.length} of ${size} bytes`);
    if (crc32(firmware) !== Number(checksum)) throw new Error('the CRC-32 does not match');
    this.say('checks size and CRC-32, and restarts');
    this.running = version;
    this.say(`runs ${version}`);
    return true;
  }

  async download(version, size) {
    const answer = await this.get('firmware', `&version=${encodeURIComponent(version)}`);
    const what = `downloads ${version}`;
    const pieces = [];
    let received = 0;
    try {
      for await (const piece of answer) {
        pieces.push(piece);
        this.screen.progress(this.id, what, (received += piece.length), size);
        await new Promise((resolve) => setTimeout(resolve, (piece.length / FLASH_BYTES_PER_SECOND) * 1000));
      }
    } finally {
      this.screen.endProgress();
    }
    this.say(`${what} (${megabytes(received)})`);
    return Buffer.concat(pieces);
  }

  get(path) {
    return new Promise((resolve, reject) => {
      request(`${this.baseUrl}/${path}?device=${this.id}`, resolve).on('error', reject).end();
    });
  }
}

async function text(answer) {
  let all = '';
  for await (const piece of answer) all += piece.toString();
  return all;
}
