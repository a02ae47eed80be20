import { tmpdir } from 'node:os';
import type { DiskTier } from './disk-tier.js';
import { OwnedFolder } from './owned-folder.js';

/** What the temporary folders of all servers on this machine are called. */
const PREFIX = 'otaflux-spool-';

/** A temporary folder for firmware that is larger than the memory for it; made when it is needed, removed at exit. */
export class Spool {
  private owner: OwnedFolder | undefined;
  private making: Promise<DiskTier> | undefined;
  /** What is in the folder; undefined as long as there is none. */
  tier: DiskTier | undefined;

  constructor(private readonly tierIn: (folder: string) => DiskTier) {}

  /** Removes what killed processes left in the system's temporary folder. */
  static async removeDead(): Promise<void> {
    await OwnedFolder.removeDead(tmpdir(), PREFIX);
  }

  /** The folder, made at the first call. Rejects with what the file system says; the next call tries again. */
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

  /** Removes it. What is being sent can be read to its end. */
  async close(): Promise<void> {
    const { owner, tier } = this;
    [this.owner, this.tier, this.making] = [undefined, undefined, undefined];
    await tier?.close();
    await owner?.remove();
  }
}
