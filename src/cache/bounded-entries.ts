/** One entry of a limited store. */
export interface Entry {
  readonly sizeBytes: number;
  /** Number of uses in progress. */
  leases: number;
  /** Until this time, on the clock of `performance.now()`, all other entries are dropped first. */
  heldUntilMs: number;
}

/**
 * Room that is reserved for an entry that is being received. Release it just before the entry is added, or if it does
 * not arrive.
 */
export interface Reservation {
  readonly sizeBytes: number;
  /** Gives the room back. Only the first call has an effect. */
  release(): void;
}

/**
 * Entries by key, least recently used first, limited by number and by bytes. An entry that is in use is never dropped.
 * If too many are in use, a new entry exceeds the limits or is refused.
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

  /** Returns the entry of `key`. Does not count as a use. */
  peek(key: string): E | undefined {
    return this.entries.get(key);
  }

  /** Returns the entry of `key`, and makes it the most recently used one. */
  use(key: string): E | undefined {
    const entry = this.entries.get(key);
    if (!entry) return undefined;
    this.entries.delete(key);
    this.entries.set(key, entry);
    return entry;
  }

  /** Reserves room for an entry of `sizeBytes`. Returns undefined if there is none. */
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

  /**
   * Adds an entry as the most recently used one. Drops other entries to stay within the limits, but never the new one.
   */
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

  /**
   * Drops entries until the limits are kept, entries that are held last. Returns false if entries in use prevent that.
   */
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
