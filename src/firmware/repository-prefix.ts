/** Returns REPOSITORY_PREFIX in the form in which it precedes a device id: with one slash at its end, or empty. */
export function repositoryPrefix(prefix: string): string {
  const trimmed = prefix.replaceAll(/^\/+|\/+$/g, '');
  return trimmed ? `${trimmed}/` : '';
}
