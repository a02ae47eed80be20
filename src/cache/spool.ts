import { tmpdir } from 'node:os';
import type { DiskTier } from './disk-tier.js';
import { OwnedFolder } from './owned-folder.js';

/** Prefix of the temporary folders of all servers on this machine. */
const PREFIX = 'otaflux-spool-';

/**
 * A temporary folder for firmware that is larger than the memory for it. It is created when it is needed, and removed
 * at exit.
 */
export class Spool {
  private owner: OwnedFolder | undefined;
  private making: Promise<DiskTier> | undefined;
  /** The content of the folder; undefined before it is created. */
  tier: DiskTier | undefined;

  constructor(private readonly tierIn: (folder: string) => DiskTier) {}

  /** Removes the folders that killed processes have left in the temporary folder of the system. */
  static async removeDead(): Promise<void> {
    await OwnedFolder.removeDead(tmpdir(), PREFIX);
  }

  /**
   * Returns the folder. Creates it at the first call. Rejects with the error of the file system; the next call tries
   * again.
   */
  async open(): Promise<DiskTier> {
    this.making ??= OwnedFolder.create(tmpdir(), PREFIX).then((owner) => {
      this.owner = owner;
      this.tier = this.tierIn(owner.path);
      return this.tier;
    });
    try {
      return await this.making;
    } catch (error) {
      this.making = undefined;
      throw error;
    }
  }

  /** Removes the folder. Firmware that is being sent can still be read to its end. */
  async close(): Promise<void> {
    const { owner, tier } = this;
    [this.owner, this.tier, this.making] = [undefined, undefined, undefined];
    await tier?.close();
    await owner?.remove();
  }
}
