/**
 * A device id as the dotted words of NATS subjects and AMQP routing keys: its levels become words, and a dot within a
 * level is written `%2E`, so that `a.b` and `a/b` do not meet. No id holds a `%` (OCI distribution-spec, "Pulling
 * manifests": the grammar of names).
 */
export function wordsOf(device: string): string {
  return device.replaceAll('.', '%2E').replaceAll('/', '.');
}

/** The device id that `wordsOf` made these words of; undefined for words that it never makes, such as `a/b`. */
export function deviceOf(words: string): string | undefined {
  const device = words.replaceAll('.', '/').replaceAll('%2E', '.');
  return wordsOf(device) === words ? device : undefined;
}
