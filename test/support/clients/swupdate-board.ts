import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../real-server.js';

/** What SWUpdate and the tools for its images need. */
export const SWUPDATE = ['swupdate', 'cpio', 'openssl'];

/** A board with a real SWUpdate in hawkBit mode. Its flash is a file. */
export class SwupdateBoard {
  readonly folder = mkdtempSync(join(tmpdir(), 'otaflux-swupdate-'));
  readonly slot = join(this.folder, 'slot');
  output = '';
  private child: ChildProcess | undefined;

  constructor(
    readonly unit: string,
    /** The version that the integrator has written into swupdate.cfg. */
    private readonly version = '1.0.0',
  ) {
    writeFileSync(this.slot, Buffer.alloc(1 << 22));
    runProgram('openssl', [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj', '/CN=otaflux test'],
      ...['-addext', 'extendedKeyUsage=emailProtection'],
      ...['-keyout', join(this.folder, 'key.pem'), '-out', join(this.folder, 'cert.pem')],
    ]);
  }

  /** Returns a signed .swu that writes `image` to the flash. `entry` is added to the description of the image. */
  pack(version: string, image: Buffer, entry = 'type = "raw";', description = image): Buffer {
    const folder = mkdtempSync(join(this.folder, 'pack-'));
    writeFileSync(join(folder, 'image.bin'), image);
    const hash = createHash('sha256').update(description).digest('hex');
    writeFileSync(
      join(folder, 'sw-description'),
      `software = { version = "${version}"; hardware-compatibility: [ "1.0" ];
         images: ( { filename = "image.bin"; device = "${this.slot}"; sha256 = "${hash}"; ${entry} } ); }\n`,
    );
    const key = ['-signer', join(this.folder, 'cert.pem'), '-inkey', join(this.folder, 'key.pem')];
    runProgram('openssl', [
      ...['cms', '-sign', '-in', join(folder, 'sw-description'), '-out', join(folder, 'sw-description.sig')],
      ...[...key, '-outform', 'DER', '-nosmimecap', '-binary'],
    ]);
    const names = 'sw-description\\nsw-description.sig\\nimage.bin\\n';
    runProgram('sh', ['-c', `printf '${names}' | cpio -o -H crc --quiet > out.swu`], folder);
    return readFileSync(join(folder, 'out.swu'));
  }

  /** Returns a zchunk file of `image`, and its header, which belongs into the .swu. */
  zchunk(image: Buffer): { file: Buffer; header: Buffer } {
    const folder = mkdtempSync(join(this.folder, 'zchunk-'));
    writeFileSync(join(folder, 'image.bin'), image);
    runProgram('zck', ['-u', '-h', 'sha256', '-o', 'image.zck', 'image.bin'], folder);
    const size = Number(/Header size: (\d+)/i.exec(runProgram('zck_read_header', ['image.zck'], folder))?.[1]);
    const file = readFileSync(join(folder, 'image.zck'));
    return { file, header: file.subarray(0, size) };
  }

  /**
   * Starts the daemon.
   *
   * @param suricatta further arguments, such as `-c 2`: report that the last update works
   */
  start(url: string, { tenant = 'DEFAULT', token, suricatta = '' }: SwupdateOptions = {}): void {
    const config = join(this.folder, 'swupdate.cfg');
    writeFileSync(
      config,
      `globals : { loglevel = 5; };
identify : ( { name = "board"; value = "h3board"; }, { name = "sw_version"; value = "${this.version}"; } );
suricatta : { retry = 5; retrywait = 1; };\n`,
    );
    const sockets = join(this.folder, 'sockets');
    mkdirSync(sockets, { recursive: true });
    const credentials = token === undefined ? '' : ` -k ${token}`;
    this.child = spawn(
      'swupdate',
      [
        ...['-v', '-f', config, '-k', join(this.folder, 'cert.pem'), '-H', 'board:1.0', '-u'],
        `-t ${tenant} -u ${url} -i ${this.unit} -w 1${credentials} ${suricatta}`,
      ],
      { env: { ...process.env, TMPDIR: sockets }, cwd: sockets },
    );
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on('data', (piece: Buffer) => (this.output += piece.toString()));
  }

  /** Whether the daemon runs. It sometimes dies of SIGPIPE right after an update. */
  get isRunning(): boolean {
    return this.child?.exitCode === null && this.child.signalCode === null;
  }

  /** Ends the daemon, as a reboot would. */
  async stop(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    await new Promise((resolve) => {
      child.once('exit', resolve);
      child.kill('SIGKILL');
    });
  }

  /** Returns the first bytes of the flash. */
  flashed(sizeBytes: number): Buffer {
    return readFileSync(this.slot).subarray(0, sizeBytes);
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface SwupdateOptions {
  readonly tenant?: string;
  readonly token?: string;
  readonly suricatta?: string;
}
