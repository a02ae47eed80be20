/** That something happened to a repository. A hint to ask the registry, never data to trust. */
export interface RepositoryChange {
  /** As the registry names it, without its host. */
  readonly repository: string;
  readonly kind: 'pushed' | 'deleted';
  /** The tag, when it is known; events of pushes by digest have none. */
  readonly tag?: string | undefined;
  readonly digest?: string | undefined;
}
