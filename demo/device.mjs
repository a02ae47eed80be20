import { request } from 'node:http';
import { crc32 } from 'node:zlib';
import { SingleBar } from 'cli-progress';

/** Bytes a second that the simulated flash takes, so that there is something to see. */
const FLASH_BYTES_PER_SECOND = 400_000;

/** A device that asks for its version, and downloads, checks and "runs" what is newer. */
export class Device {
  running = 'nothing';

  constructor(baseUrl, id, say) {
    this.baseUrl = baseUrl;
    this.id = id;
    this.say = say;
  }

  /** Asks once; resolves to whether it updated itself. */
  async check() {
    const answer = await this.get('version');
    if (answer.statusCode !== 200) {
      this.say(`/version answered ${answer.statusCode}: ${await text(answer)}`);
      return false;
    }
    const [version, checksum, size] = (await text(answer)).split('\n');
    if (version === this.running) return false;
    this.say(`runs ${this.running}, is offered ${version} (${size} bytes, CRC-32 ${checksum})`);
    const firmware = await this.download(Number(size));
    if (firmware.length !== Number(size)) throw new Error(`got ${firmware.length} of ${size} bytes`);
    if (crc32(firmware) !== Number(checksum)) throw new Error('the CRC is wrong, not flashing');
    this.running = version;
    this.say(`CRC is right, rebooted: runs ${version}`);
    return true;
  }

  async download(size) {
    const answer = await this.get('firmware');
    const bar = process.stdout.isTTY
      ? new SingleBar({ format: '  device  flashing {bar} {percentage}% {value}/{total} bytes', hideCursor: true })
      : undefined;
    bar?.start(size, 0);
    const pieces = [];
    let received = 0;
    try {
      for await (const piece of answer) {
        pieces.push(piece);
        bar?.update((received += piece.length));
        await new Promise((resolve) => setTimeout(resolve, (piece.length / FLASH_BYTES_PER_SECOND) * 1000));
      }
    } finally {
      bar?.stop();
    }
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
