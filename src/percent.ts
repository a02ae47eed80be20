/**
 * `text` out of a URL with its percent-encoding undone. A `%` that begins none, as in a password that was pasted as it is,
 * stays what it is, as browsers have it (WHATWG URL, "percent-decode").
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
