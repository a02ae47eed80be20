import { PassThrough, Readable, Transform, type TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { Parser, type ReadEntry } from 'tar';
import { OtaError } from '../errors.js';
import type { Packing } from './firmware-locator.js';
import { limited, tooLarge } from './limited.js';
import { NoFirmware } from './no-firmware.js';

export interface UnpackOptions {
  readonly packing: Exclude<Packing, 'none'>;
  /** Which file to take where there are several: its path, or its last part. */
  readonly firmwareFile: string | undefined;
  /** Most bytes that firmware may have. */
  readonly maxBytes: number;
}

/** A tar's names and attributes; what is larger is an attack (node-tar's own default). */
const MAX_META_BYTES = 1024 * 1024;
const MAX_ENTRIES = 10_000;
/** What may stand in a layer beside the firmware: a base image. */
const MAX_OTHER_BYTES = 1024 * 1024 * 1024;
const BLOCK_BYTES = 512;
const GZIP_MAGIC = Buffer.from([0x1f, 0x8b]);

/**
 * The firmware in `source`, unpacked where it is packed, piece by piece: believe none before the end.
 *
 * @throws NoFirmware when a tar holds no regular file, several and none is named, or more than `maxBytes`; OtaError
 *   `protocol` when it is broken or not what its type says.
 */
export async function* unpack(source: AsyncIterable<Buffer>, options: UnpackOptions): AsyncGenerator<Buffer> {
  const { head, all } = await peek(source);
  if (options.packing === 'tar' && !isTar(head)) {
    yield* limited(all, options.maxBytes);
    return;
  }
  const gzip = options.packing === 'tar+gzip';
  if (gzip && !head.subarray(0, 2).equals(GZIP_MAGIC))
    throw new OtaError('protocol', 'the layer says that it is gzip, and is not');
  yield* regularFile(all, gzip, options);
}

/** The first block of `source`, and all of it. */
async function peek(source: AsyncIterable<Buffer>): Promise<{ head: Buffer; all: AsyncGenerator<Buffer> }> {
  const iterator = source[Symbol.asyncIterator]();
  const pieces: Buffer[] = [];
  let length = 0;
  while (length < BLOCK_BYTES) {
    const next = await iterator.next();
    if (next.done) break;
    pieces.push(next.value);
    length += next.value.length;
  }
  async function* all(): AsyncGenerator<Buffer> {
    try {
      yield* pieces;
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.();
    }
  }
  return { head: Buffer.concat(pieces), all: all() };
}

/** Whether a block is a tar header: its checksum is right (POSIX.1-1988; magic numbers differ between tars). */
function isTar(block: Buffer): boolean {
  if (block.length < BLOCK_BYTES) return false;
  const stated = parseInt(block.toString('latin1', 148, 156), 8);
  let sum = 8 * 0x20;
  for (let i = 0; i < BLOCK_BYTES; i++) if (i < 148 || i >= 156) sum += block[i] ?? 0;
  return sum === stated;
}

/** The bytes of the one regular file in a tar, or of the one that is named. */
async function* regularFile(
  source: AsyncIterable<Buffer>,
  gzip: boolean,
  options: UnpackOptions,
): AsyncGenerator<Buffer> {
  const out = new PassThrough();
  const extraction = new Extraction(out, options);
  const packed = Readable.from(source, { objectMode: false });
  const counter = new Counter(options.maxBytes + MAX_OTHER_BYTES);
  const run = gzip
    ? pipeline(packed, createGunzip(), counter, extraction.sink())
    : pipeline(packed, counter, extraction.sink());
  const work = run.then(
    () => {
      extraction.finish();
    },
    (error: unknown) => {
      // A pipeline may tell of the abort that a failure brings about in place of the failure.
      out.destroy(extraction.failure ?? OtaError.from(error, 'protocol', 'the layer cannot be unpacked'));
    },
  );
  try {
    for await (const piece of out as AsyncIterable<Buffer>) yield piece;
  } finally {
    out.destroy();
    await work;
  }
}

/** Fails a decompression bomb: more bytes than any acceptable layer has. */
class Counter extends Transform {
  private bytes = 0;

  constructor(private readonly maxBytes: number) {
    super();
  }

  override _transform(piece: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.bytes += piece.length;
    if (this.bytes > this.maxBytes) done(tooLarge(this.maxBytes));
    else done(null, piece);
  }
}

/** Finds the firmware among the entries of a tar and passes its bytes to `out`. */
class Extraction {
  private readonly names: string[] = [];
  private entries = 0;
  private taken = false;
  /** Why nothing more can come. */
  failure: OtaError | undefined;
  private readonly parser = new Parser({
    strict: true,
    maxMetaEntrySize: MAX_META_BYTES,
    onReadEntry: (entry) => {
      this.take(entry);
    },
  });

  constructor(
    private readonly out: PassThrough,
    private readonly options: UnpackOptions,
  ) {
    this.parser.on('error', (error: unknown) => {
      this.fail(OtaError.from(error, 'protocol', 'the tar is broken'));
    });
    // The reader may go away at any time; then the rest is of no use.
    out.on('close', () => {
      this.fail(new OtaError('unavailable', 'nobody reads on'));
    });
  }

  /** Where the tar's bytes go, with back pressure from `out`. */
  sink(): (source: AsyncIterable<Buffer>) => Promise<void> {
    return async (source) => {
      const { head, all } = await peek(source);
      // node-tar would unpack what is compressed once more, past our counter.
      if (head.every((byte) => byte === 0)) throw new NoFirmware('the layer holds no regular file');
      if (!isTar(head)) throw new OtaError('protocol', 'the layer is no tar');
      for await (const piece of all) {
        const writable = this.parser.write(piece);
        if (this.failure) throw this.failure;
        if (!writable) await this.drained();
      }
      this.parser.end();
      if (this.failure) throw this.failure;
    };
  }

  finish(): void {
    if (this.names.length > 1 && this.options.firmwareFile === undefined) this.out.destroy(this.several());
    else if (!this.taken)
      this.out.destroy(this.names.length > 0 ? this.several() : new NoFirmware('the layer holds no regular file'));
    else this.out.end();
  }

  private take(entry: ReadEntry): void {
    if (++this.entries > MAX_ENTRIES) this.fail(new OtaError('protocol', `the layer has over ${MAX_ENTRIES} entries`));
    const name = entry.path.replace(/^(?:\.?\/)+/, '');
    const regular = entry.type === 'File' || entry.type === 'OldFile' || entry.type === 'ContiguousFile';
    // `.wh.` files are marks of the layer format (image-spec 1.1, layer.md, "Whiteouts").
    if (!regular || /(?:^|\/)\.wh\.[^/]*$/.test(name)) {
      entry.resume();
      return;
    }
    if (this.names.length < 10) this.names.push(name);
    const { firmwareFile } = this.options;
    const wanted = firmwareFile === undefined ? this.names.length === 1 : isNamed(name, firmwareFile);
    if (!wanted || this.taken) {
      if (firmwareFile === undefined && this.taken) this.fail(this.several());
      entry.resume();
      return;
    }
    this.taken = true;
    if (entry.size > this.options.maxBytes) this.fail(tooLarge(this.options.maxBytes));
    if (entry.size === 0) this.fail(new NoFirmware(`${name} is empty`));
    entry.on('data', (piece: Buffer) => {
      if (this.out.write(piece) || this.out.destroyed) return;
      entry.pause();
      this.out.once('drain', () => {
        entry.resume();
      });
    });
  }

  private drained(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.parser.once('drain', resolve);
      this.onFailure = reject;
    });
  }

  private onFailure: (error: OtaError) => void = () => undefined;

  private fail(error: OtaError): void {
    this.failure ??= error;
    this.onFailure(this.failure);
  }

  private several(): OtaError {
    const { firmwareFile } = this.options;
    const wish =
      firmwareFile === undefined
        ? 'name the one that is the firmware by --firmware-file'
        : `none is ${JSON.stringify(firmwareFile)} (--firmware-file)`;
    return new NoFirmware(`the layer holds several files, ${this.names.join(', ')}: ${wish}`);
  }
}

function isNamed(path: string, wanted: string): boolean {
  const name = wanted.replace(/^(?:\.?\/)+/, '');
  return path === name || path.endsWith(`/${name}`);
}
