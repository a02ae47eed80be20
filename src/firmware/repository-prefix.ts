/** REPOSITORY_PREFIX as it is put before a device id: with one slash at its end, or empty. */
export function repositoryPrefix(prefix: string): string {
  const trimmed = prefix.replaceAll(/^\/+|\/+$/g, '');
  return trimmed ? `${trimmed}/` : '';
}
