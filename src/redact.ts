const MASK = '[redacted]';
/** Shorter values would remove ordinary words. */
const MIN_LENGTH = 4;

/** The user name and the password in a URL. */
const USER_INFO = /(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/?#@"]+@/gi;

/**
 * Returns a function that removes `secrets` from a line of text: in plain form, as JSON, percent-encoded and as base64.
 * It also removes user names and passwords from URLs.
 */
export function redactor(secrets: readonly string[]): (line: string) => string {
  const forms = new Set<string>();
  for (const secret of secrets.filter((value) => value.length >= MIN_LENGTH)) {
    forms
      .add(secret)
      .add(JSON.stringify(secret).slice(1, -1))
      .add(encodeURIComponent(secret))
      .add(Buffer.from(secret).toString('base64'));
  }
  // The longest first, so that no part of a longer secret remains.
  const ordered = [...forms].sort((a, b) => b.length - a.length);
  return (line) => {
    let text = line;
    for (const form of ordered) if (text.includes(form)) text = text.replaceAll(form, MASK);
    return text.includes('@') ? text.replaceAll(USER_INFO, `$1${MASK}@`) : text;
  };
}
