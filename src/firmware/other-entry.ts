/**
 * The firmware is another entry of the layer than the one that was read. This is only known at the end, if a later
 * entry with the same path replaces an earlier one, or if a link points back.
 */
export class OtherEntry extends Error {
  constructor(
    /** Index of the entry in the tar, from 0. */
    readonly entry: number,
  ) {
    super(`the firmware is entry ${entry} of the layer`);
    this.name = 'OtherEntry';
  }
}

/** Runs `read`. If it fails with OtherEntry, runs it again for the right entry. */
export async function ofRightEntry<T>(read: (entry?: number) => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof OtherEntry) return read(error.entry);
    throw error;
  }
}
