import { expect } from '@jest/globals';

/** One part of a body of `multipart/byteranges`. */
export interface Part {
  readonly contentType: string;
  readonly range: string;
  readonly bytes: Buffer;
}

/** Reads a body of `multipart/byteranges` strictly, to its last byte (RFC 2046, section 5.1; RFC 9110, section 14.6). */
export function partsOf(contentType: string | null | undefined, body: Buffer): Part[] {
  const boundary = /^multipart\/byteranges; boundary=([0-9A-Za-z]{1,70})$/.exec(contentType ?? '')?.[1];
  if (boundary === undefined) throw new Error(`no boundary in ${contentType ?? 'nothing'}`);
  const parts: Part[] = [];
  let at = 0;
  const take = (text: string): void => {
    expect(body.toString('latin1', at, at + text.length)).toBe(text);
    at += text.length;
  };
  const line = (): string => {
    const end = body.indexOf('\r\n', at);
    const text = body.toString('latin1', at, end);
    at = end + 2;
    return text;
  };
  // As of hawkBit: the body begins with the boundary, and an empty line separates the parts.
  take(`--${boundary}`);
  while (body.toString('latin1', at, at + 2) !== '--') {
    take('\r\n');
    const [type, contentRange] = [line(), line()];
    take('\r\n');
    const [, range = '', first, last] = /^Content-Range: bytes ((\d+)-(\d+)\/\d+)$/.exec(contentRange) ?? [];
    const size = Number(last) - Number(first) + 1;
    parts.push({ contentType: type.replace('Content-Type: ', ''), range, bytes: body.subarray(at, at + size) });
    at += size;
    take(`\r\n--${boundary}`);
  }
  take('--\r\n');
  expect(at).toBe(body.length);
  return parts;
}
