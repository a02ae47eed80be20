/** DER, the encoding of certificates (X.690), as far as a test writes it. */

/** `content` under a tag. */
export function bytes(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const size = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

export const sequence = (...items: Buffer[]): Buffer => bytes(0x30, Buffer.concat(items));
export const set = (...items: Buffer[]): Buffer => bytes(0x31, Buffer.concat(items));
/** A constructed item with a tag of the context, such as `[0] version`. */
export const context = (number: number, item: Buffer): Buffer => bytes(0xa0 + number, item);
export const integer = (value: Buffer): Buffer => bytes(0x02, value);
export const truth = (value: boolean): Buffer => bytes(0x01, Buffer.from([value ? 0xff : 0]));
export const octets = (content: Buffer): Buffer => bytes(0x04, content);
export const bits = (content: Buffer): Buffer => bytes(0x03, Buffer.concat([Buffer.from([0]), content]));
export const utf8 = (text: string): Buffer => bytes(0x0c, Buffer.from(text));
/** UTCTime, good until 2049. */
export const time = (date: Date): Buffer =>
  bytes(0x17, Buffer.from(`${date.toISOString().replaceAll(/[-:T]/g, '').slice(2, 14)}Z`));

export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const parts = [first * 40 + second, ...rest].flatMap((part) => {
    const sevens = [part & 0x7f];
    for (let left = part >>> 7; left > 0; left >>>= 7) sevens.unshift(0x80 | (left & 0x7f));
    return sevens;
  });
  return bytes(0x06, Buffer.from(parts));
}
