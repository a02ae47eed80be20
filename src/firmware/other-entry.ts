/**
 * The firmware is another entry of the layer than the one whose bytes were given: which one it is shows at the end only,
 * where a later entry of the same path replaces an earlier one, or a link leads back.
 */
export class OtherEntry extends Error {
  constructor(
    /** Its place in the tar, from 0. */
    readonly entry: number,
  ) {
    super(`the firmware is entry ${entry} of the layer`);
    this.name = 'OtherEntry';
  }
}

/** Runs `read`, and once more for the right entry when it says that it gave the bytes of another one. */
export async function ofRightEntry<T>(read: (entry?: number) => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof OtherEntry) return read(error.entry);
    throw error;
  }
}
