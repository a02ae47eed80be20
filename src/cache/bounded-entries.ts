/** One thing in a bounded place. */
export interface Entry {
  readonly sizeBytes: number;
  /** Uses under way. */
  leases: number;
  /** Dropped after all others before this time, on the clock of `performance.now()`. */
  heldUntilMs: number;
}

/** Room kept for an entry that is on its way; released just before it is added, or when it does not come. */
export interface Reservation {
  readonly sizeBytes: number;
  /** Gives the room back; only the first call counts. */
  release(): void;
}

/**
 * Entries by key, least recently used first, bounded by number and by bytes.
 * An entry in use is never dropped: then the bounds are exceeded, or what is new is refused.
 */
export class BoundedEntries<E extends Entry> {
  private readonly entries = new Map<string, E>();
  private reservedBytes = 0;
  private reservedEntries = 0;
  bytes = 0;

  constructor(
    private readonly maxEntries: number,
    private readonly maxBytes: number,
    private readonly onDrop: (key: string, entry: E) => void = () => undefined,
  ) {}

  get size(): number {
    return this.entries.size;
  }

  has(key: string): boolean {
    return this.entries.has(key);
  }

  /** The entry of `key`, without counting as a use. */
  peek(key: string): E | undefined {
    return this.entries.get(key);
  }

  /** The entry of `key`, which is now the most recently used. */
  use(key: string): E | undefined {
    const entry = this.entries.get(key);
    if (!entry) return undefined;
    this.entries.delete(key);
    this.entries.set(key, entry);
    return entry;
  }

  /** Makes room for an entry of `sizeBytes` that is about to come; undefined when there can be none. */
  reserve(sizeBytes: number): Reservation | undefined {
    if (sizeBytes > this.maxBytes || this.maxEntries === 0) return undefined;
    this.reservedBytes += sizeBytes;
    this.reservedEntries++;
    let open = true;
    const release = (): void => {
      if (!open) return;
      open = false;
      this.reservedBytes -= sizeBytes;
      this.reservedEntries--;
    };
    if (this.shrink()) return { sizeBytes, release };
    release();
    return undefined;
  }

  /** Adds an entry as the most recently used and drops what is over the bounds, but not the entry itself. */
  add(key: string, entry: E): void {
    this.remove(key);
    this.entries.set(key, entry);
    this.bytes += entry.sizeBytes;
    entry.leases++;
    this.shrink();
    entry.leases--;
  }

  remove(key: string): E | undefined {
    const entry = this.entries.get(key);
    if (entry) {
      this.entries.delete(key);
      this.bytes -= entry.sizeBytes;
    }
    return entry;
  }

  /** Drops until all is within the bounds, what is held last of all; false when entries in use are in the way. */
  private shrink(): boolean {
    return this.dropWhileOver(performance.now()) || this.dropWhileOver(Infinity);
  }

  private dropWhileOver(heldFromMs: number): boolean {
    for (const [key, entry] of this.entries) {
      if (!this.isOver()) return true;
      if (entry.leases > 0 || entry.heldUntilMs > heldFromMs) continue;
      this.remove(key);
      this.onDrop(key, entry);
    }
    return !this.isOver();
  }

  private isOver(): boolean {
    return (
      this.bytes + this.reservedBytes > this.maxBytes || this.entries.size + this.reservedEntries > this.maxEntries
    );
  }
}
