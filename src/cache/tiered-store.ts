import { createHash } from 'node:crypto';
import { Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Readable } from 'node:stream';
import type { Checksum } from '../config/index.js';
import { explained, OtaError } from '../errors.js';
import type { CacheSample } from '../metrics/index.js';
import { BoundedEntries, type Entry } from './bounded-entries.js';
import { DiskTier, type DiskEntry, type DiskWriter } from './disk-tier.js';
import { FirmwareDigester, type Firmware } from './firmware-digester.js';
import { MemorySink } from './memory-sink.js';
import { Spool } from './spool.js';
import { sameStamp, type StoredFile } from './stored-file.js';
import { FirmwareStore, type FirmwareSource, type Lease } from './firmware-store.js';

export interface TieredStoreOptions {
  maxEntries: number;
  memoryBytes: number;
  checksum: Checksum;
  /** Folder that keeps firmware across restarts. Without it, firmware is kept in memory only. */
  directory: string | undefined;
  diskBytes: number;
  /** Called at every failure of the folder. */
  onDiskFailure?: () => void;
}

interface MemoryEntry extends Entry {
  readonly bytes: Buffer;
}

/**
 * Firmware in memory, and on disk if there is a folder. Firmware that is too large for the memory goes to the folder,
 * or to a temporary folder that is removed at exit. If the folder fails, the failure is reported, and the store works
 * without it.
 */
export class TieredStore extends FirmwareStore implements OnApplicationShutdown {
  private readonly logger = new Logger('FirmwareStore');
  private readonly memory: BoundedEntries<MemoryEntry>;
  private readonly disk: DiskTier | undefined;
  private readonly facts = new Map<string, Firmware>();
  private readonly spool = new Spool((folder) => this.spoolIn(folder));
  private diskHealthy = true;

  constructor(private readonly options: TieredStoreOptions) {
    super();
    this.memory = new BoundedEntries(options.maxEntries, options.memoryBytes);
    if (options.directory !== undefined) this.disk = this.tierIn(options.directory);
  }

  /**
   * Loads the content of the folder, and removes what killed processes have left. If that fails, the service still
   * starts.
   */
  async start(): Promise<void> {
    await Spool.removeDead();
    try {
      await this.disk?.load();
    } catch (error) {
      this.diskFailed('load', error);
    }
  }

  /** Removes temporary files. Firmware that is being sent can still be read to its end. */
  async onApplicationShutdown(): Promise<void> {
    await Promise.all([this.disk?.close(), this.spool.close()]).catch((error: unknown) => {
      this.diskFailed('drop', error);
    });
  }

  async find(sha256: string): Promise<Firmware | undefined> {
    const known = this.facts.get(sha256);
    if (known && this.has(sha256)) return known;
    const entry = this.disk?.entries.use(sha256);
    if (!this.disk || !entry) return undefined;
    return this.verify(this.disk, sha256, entry);
  }

  async put(source: FirmwareSource): Promise<Firmware> {
    const firmware = (await this.write(source, this.disk)) ?? (await this.write(source, await this.spoolFolder()));
    if (firmware) return firmware;
    throw new OtaError(
      'unavailable',
      `no room in the cache for firmware of ${source.sizeBytes ?? 'unknown'} bytes, neither in memory (--cache-memory, --cache-size) nor on disk (--cache-dir, --cache-disk). Raise one of the limits`,
    );
  }

  open(sha256: string): Lease | undefined {
    const inMemory = this.memory.use(sha256);
    if (inMemory)
      return lease(inMemory, inMemory.bytes, (start, end) => Readable.from([inMemory.bytes.subarray(start, end + 1)]));
    try {
      const tier = this.tierOf(sha256);
      const file = tier?.open(sha256);
      const onDisk = tier?.entries.peek(sha256);
      if (!file || !onDisk) return undefined;
      return lease(
        onDisk,
        undefined,
        (start, end) => file.read(start, end),
        () => {
          file.release();
        },
      );
    } catch (error) {
      this.diskFailed('open', error);
      return undefined;
    }
  }

  has(sha256: string): boolean {
    if (this.memory.has(sha256)) return true;
    try {
      return this.tierOf(sha256)?.isIntact(sha256) === true;
    } catch (error) {
      // The file cannot be checked. `find` drops the entry later, and the firmware is downloaded again.
      this.diskFailed('stat', error);
      return false;
    }
  }

  hold(sha256: string, untilMs: number): void {
    const entries = [this.memory.peek(sha256), this.disk?.entries.peek(sha256), this.spool.tier?.entries.peek(sha256)];
    for (const entry of entries) if (entry) entry.heldUntilMs = Math.max(entry.heldUntilMs, untilMs);
  }

  sample(): CacheSample {
    return {
      memoryEntries: this.memory.size,
      memoryBytes: this.memory.bytes,
      diskEntries: (this.disk?.entries.size ?? 0) + (this.spool.tier?.entries.size ?? 0),
      diskBytes: (this.disk?.entries.bytes ?? 0) + (this.spool.tier?.entries.bytes ?? 0),
      diskHealthy: this.diskHealthy,
    };
  }

  /**
   * Reads a source into memory, as long as there is room, and into `tier`. Resolves to undefined if neither has room.
   * Rejects with the error of the source.
   */
  private async write(source: FirmwareSource, tier: DiskTier | undefined): Promise<Firmware | undefined> {
    const sink = new MemorySink(this.memory, source.sizeBytes);
    let writer = await this.writerOf(tier, source.sizeBytes);
    const digester = new FirmwareDigester(this.options.checksum);
    try {
      for await (const piece of source.open()) {
        sink.write(piece);
        writer = await this.attempt(writer, (open) => open.write(piece));
        if (!sink.isOpen && !writer) return undefined;
        digester.update(piece);
      }
      const firmware = digester.finish();
      const bytes = sink.take();
      // Firmware in memory needs no temporary file.
      if (bytes && tier !== this.disk) {
        await writer?.abandon();
        writer = undefined;
      }
      writer = await this.attempt(writer, (open) => open.commit(firmware.sha256, firmware.sizeBytes));
      if (!bytes && !writer) return undefined;
      if (bytes) this.memory.add(firmware.sha256, { bytes, sizeBytes: bytes.length, leases: 0, heldUntilMs: 0 });
      this.remember(firmware);
      return firmware;
    } catch (error) {
      await writer?.abandon();
      throw error;
    } finally {
      sink.close();
    }
  }

  private async writerOf(tier: DiskTier | undefined, sizeBytes: number | undefined): Promise<DiskWriter | undefined> {
    if (!tier || (tier === this.disk && (sizeBytes ?? 0) > this.options.diskBytes)) return undefined;
    return tier.create().catch((error: unknown) => {
      this.diskFailed('create', error);
      return undefined;
    });
  }

  /** Returns the writer, or undefined if it failed. Then the firmware is not written to the disk. */
  private async attempt(
    writer: DiskWriter | undefined,
    work: (writer: DiskWriter) => Promise<void>,
  ): Promise<DiskWriter | undefined> {
    if (!writer) return undefined;
    try {
      await work(writer);
      this.diskHealthy = true;
      return writer;
    } catch (error) {
      this.diskFailed('write', error);
      await writer.abandon();
      return undefined;
    }
  }

  /** Copies a file into memory, if it fits. */
  private async promote(file: StoredFile, { sha256, sizeBytes }: Firmware): Promise<void> {
    const room = this.memory.reserve(sizeBytes);
    if (!room) return;
    try {
      const bytes = Buffer.concat((await file.read(0, sizeBytes - 1).toArray()) as Buffer[]);
      room.release();
      // The file may have changed since it was hashed.
      if (createHash('sha256').update(bytes).digest('hex') === sha256)
        this.memory.add(sha256, { bytes, sizeBytes, leases: 0, heldUntilMs: 0 });
    } catch (error) {
      this.diskFailed('read', error);
    } finally {
      room.release();
    }
  }

  /**
   * Reads and hashes a file that this process has not hashed yet, or that has changed. Only content with the right
   * digest is served.
   */
  private async verify(tier: DiskTier, sha256: string, entry: DiskEntry): Promise<Firmware | undefined> {
    let file: StoredFile | undefined;
    entry.leases++;
    try {
      file = tier.openUnverified(sha256);
      if (!file) return undefined;
      if (!entry.marked) file.touch();
      entry.marked = true;
      const stamp = file.stamp();
      const digester = new FirmwareDigester(this.options.checksum);
      if (stamp.sizeBytes > 0)
        for await (const piece of file.read(0, stamp.sizeBytes - 1) as AsyncIterable<Buffer>) digester.update(piece);
      const firmware = digester.finish();
      if (firmware.sha256 !== sha256 || !sameStamp(stamp, file.stamp())) {
        await tier.drop(sha256, file.stamp());
        throw new Error(
          `${tier.path(sha256)} has another digest than its name says, and is removed. Check the disk, and other programs that write there`,
        );
      }
      entry.verified = stamp;
      this.remember(firmware);
      await this.promote(file, firmware);
      return firmware;
    } catch (error) {
      tier.entries.remove(sha256);
      this.diskFailed('verify', error);
      return undefined;
    } finally {
      entry.leases--;
      file?.release();
    }
  }

  private tierOf(sha256: string): DiskTier | undefined {
    if (this.disk?.entries.has(sha256)) return this.disk;
    return this.spool.tier?.entries.has(sha256) ? this.spool.tier : undefined;
  }

  private remember(firmware: Firmware): void {
    this.facts.set(firmware.sha256, firmware);
    for (const key of this.facts.keys()) {
      if (
        this.facts.size <=
        this.memory.size + (this.disk?.entries.size ?? 0) + (this.spool.tier?.entries.size ?? 0) + 1
      )
        break;
      if (!this.memory.has(key) && !this.tierOf(key)) this.facts.delete(key);
    }
  }

  private async spoolFolder(): Promise<DiskTier | undefined> {
    try {
      return await this.spool.open();
    } catch (error) {
      this.diskFailed('spool', error);
      return undefined;
    }
  }

  private spoolIn(folder: string): DiskTier {
    this.logger.log({
      event: 'cache.spool',
      folder,
      reason:
        'firmware that is larger than --cache-memory is kept in a temporary folder. Raise --cache-memory, or set --cache-dir to keep it across restarts',
    });
    return this.tierIn(folder);
  }

  private tierIn(folder: string): DiskTier {
    return new DiskTier(
      folder,
      this.options.diskBytes,
      (error) => {
        this.diskFailed('drop', error);
      },
      (file, reason) => {
        this.logger.warn({ event: 'cache.file_lost', file, reason });
      },
    );
  }

  private diskFailed(operation: string, error: unknown): void {
    this.options.onDiskFailure?.();
    if (this.diskHealthy) this.logger.error({ event: 'cache.disk_failed', operation, ...explained(error) });
    this.diskHealthy = false;
  }
}

function lease(
  entry: Entry,
  bytes: Buffer | undefined,
  read: (start: number, end: number) => Readable,
  close: () => void = () => undefined,
): Lease {
  entry.leases++;
  return {
    bytes,
    read,
    release: () => {
      entry.leases--;
      close();
    },
  };
}
