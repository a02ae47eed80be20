/**
 * Returns a device id as the dotted words of NATS subjects and AMQP routing keys: its levels become words, and a dot
 * within a level becomes `%2E`, so that `a.b` and `a/b` differ. No id contains a `%` (OCI distribution-spec, "Pulling
 * manifests": the grammar of names).
 */
export function wordsOf(device: string): string {
  return device.replaceAll('.', '%2E').replaceAll('/', '.');
}

/**
 * Returns the device id for words of `wordsOf`. Returns undefined for words that `wordsOf` never writes, such as `a/b`.
 */
export function deviceOf(words: string): string | undefined {
  const device = words.replaceAll('.', '/').replaceAll('%2E', '.');
  return wordsOf(device) === words ? device : undefined;
}
