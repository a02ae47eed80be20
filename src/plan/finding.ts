/** What is wrong at a path of a plan. */
export interface Finding {
  readonly path: readonly PropertyKey[];
  /** The key that should not be there, if it is about a key of the object at `path`. */
  readonly key?: string;
  readonly message: string;
}
