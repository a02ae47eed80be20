/**
 * Returns `text`, a part of a URL, with its percent-encoding decoded. A `%` that does not start a code is kept, as in a
 * password that was pasted as it is (WHATWG URL, "percent-decode").
 */
export function percentDecoded(text: string): string {
  return text.replaceAll(/(?:%[0-9A-Fa-f]{2})+/g, (encoded) => {
    try {
      return decodeURIComponent(encoded);
    } catch {
      return encoded;
    }
  });
}
