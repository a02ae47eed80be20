/** That something happened to a repository. A hint to ask the registry, never data to trust. */
export interface RepositoryChange {
  /** As the registry names it, without its host. */
  readonly repository: string;
  /** A shorter name that the sender gives it; it may be the device where `repository` is not ours. */
  readonly name?: string | undefined;
  readonly kind: 'pushed' | 'deleted';
  /** The tag, when it is known; events of pushes by digest have none. */
  readonly tag?: string | undefined;
  readonly digest?: string | undefined;
}
