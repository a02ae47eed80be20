import { createHash } from 'node:crypto';
import { connect } from 'node:net';

/** What a sketch and its chip are. */
export interface Board {
  readonly chip: 'esp32' | 'esp8266';
  readonly mac?: string;
  /** The version that the sketch passes to `update()`. */
  readonly version?: string;
  /** The image in flash. */
  readonly sketch: Buffer;
}

export type Mode = 'sketch' | 'spiffs' | 'littlefs' | 'fatfs' | 'flashfs' | 'version';

/** What the library returns, and the image that it would boot. */
export interface Outcome {
  /** `OK`, `NO_UPDATES`, or an error: the number of the library and what it means. */
  readonly result: string;
  readonly flashed?: Buffer;
  /** The header `x-version`, which `getAvailableVersion()` returns. */
  readonly available?: string | undefined;
}

/**
 * One call of ESPhttpUpdate or HTTPUpdate, as the libraries send it byte for byte, and as they judge the answer: one request
 * by HTTP/1.0 on a connection of its own (esp8266/Arduino ESP8266httpUpdate.cpp at f946290, arduino-esp32 HTTPUpdate.cpp at
 * 0bc90bb). `cutAfter` ends the connection after so many bytes of the body.
 */
export async function update(
  port: number,
  target: string,
  { chip, mac = '24:6F:28:AA:BB:CC', version, sketch }: Board,
  { mode = 'sketch', cutAfter }: { mode?: Mode; cutAfter?: number } = {},
): Promise<Outcome> {
  const name = chip === 'esp32' ? 'ESP32' : 'ESP8266';
  const lines = [
    `GET ${target} HTTP/1.0`,
    `Host: 127.0.0.1:${port}`,
    `User-Agent: ${name}-http-Update`,
    'Connection: close',
    ...(chip === 'esp8266' ? ['Accept-Encoding: identity;q=1,chunked;q=0.1,*;q=0', `x-${name}-Chip-ID: 1234567`] : []),
    ...(chip === 'esp32' ? ['Cache-Control: no-cache'] : []),
    `x-${name}-STA-MAC: ${mac}`,
    `x-${name}-AP-MAC: 26:6F:28:AA:BB:CC`,
    `x-${name}-free-space: 2097152`,
    `x-${name}-sketch-size: ${sketch.length}`,
    `x-${name}-sketch-md5: ${createHash('md5').update(sketch).digest('hex')}`,
    ...(chip === 'esp32'
      ? [`x-${name}-sketch-sha256: ${createHash('sha256').update(sketch).digest('hex').toUpperCase()}`]
      : []),
    `x-${name}-chip-size: 4194304`,
    `x-${name}-sdk-version: 2.2.2-dev`,
    `x-${name}-mode: ${mode}`,
    ...(version === undefined ? [] : [`x-${name}-version: ${version}`]),
    ...(chip === 'esp8266' ? ['Content-Length: 0'] : []),
  ];
  const bytes = await exchange(port, `${lines.join('\r\n')}\r\n\r\n`, cutAfter);
  return judged(bytes, chip, mode);
}

function judged(bytes: Buffer, chip: Board['chip'], mode: Mode): Outcome {
  const end = bytes.indexOf('\r\n\r\n');
  const [status = '', ...fields] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const code = Number(status.split(' ')[1]);
  const headers = new Map(
    fields.map((field) => [
      field.slice(0, field.indexOf(':')).toLowerCase(),
      field.slice(field.indexOf(':') + 1).trim(),
    ]),
  );
  const available = headers.get('x-version');
  if (code === 304 || (code === 204 && chip === 'esp32')) return { result: 'NO_UPDATES', available };
  if (code === 404) return { result: '-102 file not found' };
  if (code === 403) return { result: '-103 forbidden' };
  if (code !== 200) return { result: '-104 wrong code' };
  if (mode === 'version') return { result: available === undefined ? '-109 no version' : 'OK', available };
  const size = Number(headers.get('content-length') ?? 0);
  if (size <= 0) return { result: '-101 no size' };
  const body = bytes.subarray(end + 4);
  if (body.length < size) return { result: 'stream timeout' };
  const flashed = body.subarray(0, size);
  const md5 = createHash('md5').update(flashed).digest('hex');
  if (headers.has('x-md5') && headers.get('x-md5') !== md5) return { result: '7 MD5 failed' };
  if (mode === 'sketch' && flashed[0] !== 0xe9 && !(chip === 'esp8266' && flashed[0] === 0x1f))
    return { result: '-106 bad magic' };
  return { result: 'OK', flashed, available };
}

function exchange(port: number, request: string, cutAfter = Infinity): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const socket = connect({ port, host: '127.0.0.1' }, () => socket.write(request));
    socket
      .on('data', (piece) => {
        received = Buffer.concat([received, piece]);
        const end = received.indexOf('\r\n\r\n');
        if (end === -1 || received.length - end - 4 <= cutAfter) return;
        received = received.subarray(0, end + 4 + cutAfter);
        socket.destroy();
      })
      .once('error', reject)
      .once('close', () => {
        resolve(received);
      });
  });
}
