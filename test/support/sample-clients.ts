import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { firmwareBytes } from './bytes.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const DOUBLES = join(ROOT, 'test/support/devices');

/** Where ESP-IDF keeps what a build says of itself (esp_app_desc_t): a magic word, and the version 16 bytes behind it. */
const DESCRIPTION_AT = 0x20;
const DESCRIPTION_MAGIC = 0xabcd5432;
const VERSION_AT = DESCRIPTION_AT + 16;
const VERSION_BYTES = 32;
/** As test/support/devices ends a process whose firmware restarts the chip. */
const RESTARTED = 10;
/** A device that restarts more often than this has not come to rest. */
const MAX_STARTS = 8;

/** A firmware image that says of itself that it is `version`. */
export function imageOf(version: string, sizeBytes: number): Buffer {
  const image = firmwareBytes(sizeBytes, version);
  image.fill(0, DESCRIPTION_AT, VERSION_AT + 2 * VERSION_BYTES);
  image.writeUInt32LE(DESCRIPTION_MAGIC, DESCRIPTION_AT);
  image.write(version, VERSION_AT, 'latin1');
  return image;
}

export function versionIn(image: Buffer): string {
  return image.toString('latin1', VERSION_AT, image.indexOf(0, VERSION_AT));
}

/** How the device reaches the server. */
export interface Access {
  readonly server: string;
  readonly token?: string;
}

/** What a run came to. */
export interface Run {
  readonly output: string;
  /** Seconds that it waited, between attempts and at last for its next check. They take no time here. */
  readonly waits: readonly number[];
  readonly starts: number;
}

/** A device that runs one of the sample clients. Its first firmware is installed by hand. */
export interface SampleDevice {
  /** Lets it check for updates, until it has nothing to do for an hour or, on a board, its script ends. */
  run(access: Access): Promise<Run>;
  /** The image that runs. */
  image(): Buffer;
  remove(): void;
}

/** An ESP32 whose flash is a folder. `program` is the sample, built for this machine. */
export class Chip implements SampleDevice {
  private readonly flash = mkdtempSync(join(tmpdir(), 'otaflux-chip-'));

  constructor(
    private readonly program: string,
    first: Buffer,
    private readonly slotBytes = 1024 * 1024,
  ) {
    writeFileSync(join(this.flash, 'ota_0'), first);
  }

  async run({ server, token = '' }: Access): Promise<Run> {
    let output = '';
    for (let starts = 1; starts <= MAX_STARTS; starts++) {
      const env = {
        FLASH_DIR: this.flash,
        SLOT_SIZE: String(this.slotBytes),
        OTAFLUX_SERVER: server,
        OTAFLUX_TOKEN: token,
      };
      const end = await execute(this.program, [], env);
      output += end.output;
      if (end.code === 0) return { output, waits: waitsIn(output, /^wait (\d+)$/gm, 1000), starts };
      if (end.code !== RESTARTED) throw new Error(`the firmware ended with ${end.code}: ${output}`);
    }
    throw new Error(`started ${MAX_STARTS} times: ${output}`);
  }

  image(): Buffer {
    const [boot = '0'] = existsSync(join(this.flash, 'otadata'))
      ? readFileSync(join(this.flash, 'otadata'), 'utf8').split(' ')
      : [];
    return readFileSync(join(this.flash, `ota_${boot}`));
  }

  remove(): void {
    rmSync(this.flash, { recursive: true });
  }
}

/** An `install-update` that writes the image into the only slot of the board, and the version that it says it is. */
const WORKING_INSTALL = `cp "$1" "$BOARD/slot"; dd if="$1" bs=1 skip=${VERSION_AT} count=${VERSION_BYTES} 2> /dev/null | tr -d '\\0' > "$BOARD/version"`;

/** A Linux board that runs the shell client, with an `install-update` that writes its only slot. */
export class Board implements SampleDevice {
  private readonly folder = mkdtempSync(join(tmpdir(), 'otaflux-board-'));
  private readonly script = join(this.folder, 'otaflux-update.sh');
  private install = WORKING_INSTALL;

  constructor(
    script: string,
    first: Buffer,
    private readonly shell = 'sh',
  ) {
    mkdirSync(join(this.folder, 'bin'));
    writeFileSync(this.script, script);
    writeFileSync(join(this.folder, 'slot'), first);
    writeFileSync(join(this.folder, 'version'), `${versionIn(first)}\n`);
  }

  async run({ server, token }: Access): Promise<Run> {
    this.command('install-update', this.install);
    this.command('sleep', 'echo "wait $1"');
    writeFileSync(
      join(this.folder, 'curlrc'),
      token === undefined ? '' : `header = "Authorization: Bearer ${token}"\n`,
    );
    const { output } = await execute(this.shell, [this.script], {
      PATH: [join(this.folder, 'bin'), process.env.PATH].join(delimiter),
      BOARD: this.folder,
      OTAFLUX_SERVER: server,
      OTAFLUX_DEVICE: 'esp32',
      OTAFLUX_STATE: join(this.folder, 'state'),
      OTAFLUX_VERSION_FILE: join(this.folder, 'version'),
      OTAFLUX_CURLRC: join(this.folder, 'curlrc'),
    });
    return { output, waits: waitsIn(output, /^wait (\d+)$/gm, 1), starts: 1 };
  }

  image(): Buffer {
    return readFileSync(join(this.folder, 'slot'));
  }

  /** Lets `install-update` fail from now on, or work again. */
  failInstalls(fails: boolean): void {
    this.install = fails ? 'exit 3' : WORKING_INSTALL;
  }

  /** Files that the script has left behind. */
  leftovers(): string[] {
    return spawnSync('ls', [join(this.folder, 'state')], { encoding: 'utf8' })
      .stdout.split('\n')
      .filter(Boolean);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }

  private command(name: string, body: string): void {
    const path = join(this.folder, 'bin', name);
    writeFileSync(path, `#!/bin/sh\nset -e\n${body}\n`);
    chmodSync(path, 0o755);
  }
}

/** Builds the Arduino sketch as it is, with the version that the running image has in place of its own constant. */
export function buildArduino(program: string): void {
  const sketch = join(ROOT, 'examples/arduino/otaflux_update/otaflux_update.ino');
  const defines = [
    'FIRMWARE_VERSION=runningVersion()',
    'OTAFLUX_SERVER=getenv("OTAFLUX_SERVER")',
    'OTAFLUX_TOKEN=getenv("OTAFLUX_TOKEN")',
  ];
  compile('g++', [
    ...['-std=c++17', '-Wall', '-I', join(DOUBLES, 'common'), '-I', join(DOUBLES, 'arduino')],
    ...['-include', 'Arduino.h', ...defines.map((define) => `-D${define}`), '-o', program, '-x', 'c++', sketch],
    ...[join(DOUBLES, 'arduino/main.cpp'), join(DOUBLES, 'common/chip.cpp'), join(DOUBLES, 'common/http.cpp')],
  ]);
}

/** Builds the project for ESP-IDF: its files as C, as the SDK does. */
export function buildEspIdf(program: string): void {
  const include = ['common', 'esp-idf'].flatMap((folder) => ['-I', join(DOUBLES, folder)]);
  const objects = ['main', 'otaflux'].map((name) => {
    const source = join(ROOT, 'examples/esp-idf/main', `${name}.c`);
    compile('gcc', ['-std=gnu17', '-Wall', '-Werror', ...include, '-c', '-o', `${program}-${name}.o`, source]);
    return `${program}-${name}.o`;
  });
  const doubles = ['esp-idf/esp_idf.cpp', 'common/chip.cpp', 'common/http.cpp'].map((name) => join(DOUBLES, name));
  compile('g++', ['-std=c++17', '-Wall', ...include, '-o', program, ...objects, ...doubles]);
}

function compile(compiler: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(compiler, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

function waitsIn(output: string, pattern: RegExp, perSecond: number): number[] {
  return [...output.matchAll(pattern)].map((match) => Number(match[1]) / perSecond);
}

/** Not synchronous: the server runs in this process. */
function execute(
  command: string,
  args: readonly string[],
  env: Record<string, string>,
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (piece: Buffer) => (output += piece.toString()));
    child.once('error', reject).once('close', (code) => {
      resolve({ code, output });
    });
  });
}
