/** A change of a repository. It is a hint to ask the registry. Its content is not trusted. */
export interface RepositoryChange {
  /** Name in the registry, without the host. */
  readonly repository: string;
  /** A shorter name from the sender. It may be the device if no prefix is set, and a proxy adds a path that the sender does not know. */
  readonly name?: string | undefined;
  readonly kind: 'pushed' | 'deleted';
  /** The tag, if it is known. Events of pushes by digest have none. */
  readonly tag?: string | undefined;
  readonly digest?: string | undefined;
}
