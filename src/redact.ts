const MASK = '[redacted]';
/** Shorter values would blank out ordinary words. */
const MIN_LENGTH = 4;

/** User and password in a URL. */
const USER_INFO = /(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/?#@"]+@/gi;

/** Takes `secrets` out of a line of text, as they are, as JSON and as a URL writes them, and user names and passwords out of URLs. */
export function redactor(secrets: readonly string[]): (line: string) => string {
  const forms = new Set<string>();
  for (const secret of secrets.filter((value) => value.length >= MIN_LENGTH)) {
    forms
      .add(secret)
      .add(JSON.stringify(secret).slice(1, -1))
      .add(encodeURIComponent(secret))
      .add(Buffer.from(secret).toString('base64'));
  }
  // The longest first, so that no part of a secret is left over.
  const ordered = [...forms].sort((a, b) => b.length - a.length);
  return (line) => {
    let text = line;
    for (const form of ordered) if (text.includes(form)) text = text.replaceAll(form, MASK);
    return text.includes('@') ? text.replaceAll(USER_INFO, `$1${MASK}@`) : text;
  };
}
