import { EMPTY, type Observable } from 'rxjs';

/**
 * The replicas of this server, as far as they know of each other. What they share may fail at any time: then each goes on
 * alone. This abstract class is also the injection token.
 *
 * @publicApi
 */
export abstract class Replicas {
  /** Whether replicas share units, counts, halts, hints and claims. */
  abstract readonly isShared: boolean;
  /** Tells the other replicas that something about `product` has changed in the registry. Never throws, and never waits. */
  abstract hint(product: string): void;
  /** The products about which another replica has told. Anybody who reaches the broker can send them. */
  abstract readonly hints: Observable<string>;
  /**
   * Claims a piece of work for this replica. Resolves to whether it is this replica's: of several replicas that claim the
   * same key within `ttlMs`, one gets it. The same replica gets it again. Without the others, resolves to true: work that
   * is done twice is better than work that is not done. Never rejects.
   */
  abstract claim(key: string, ttlMs: number): Promise<boolean>;
  /** Gives a claim back, so that another replica gets it at once. Never rejects. */
  abstract release(key: string): Promise<void>;
  /** Notes a text for all replicas, for `ttlMs`. Never rejects. */
  abstract note(key: string, text: string, ttlMs: number): Promise<void>;
  /** Returns the noted text; undefined if there is none, or if that is not known. Never rejects. */
  abstract noted(key: string): Promise<string | undefined>;
}

/** The only replica, as far as it knows. */
export class Alone extends Replicas {
  override readonly isShared = false;
  override readonly hints: Observable<string> = EMPTY;

  override hint(): void {
    // Nobody listens.
  }

  override claim(): Promise<boolean> {
    return Promise.resolve(true);
  }

  override release(): Promise<void> {
    return Promise.resolve();
  }

  override note(): Promise<void> {
    return Promise.resolve();
  }

  override noted(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}
