/** Who a request is for. One product, such as `esp32`, has many units. */
export interface Identity {
  /** Name of the repository, without the prefix: the value of `?device=`. */
  readonly product: string;
  /** One physical device: a serial number, a MAC address or another text of 1 to 128 printable characters. */
  readonly unit?: string | undefined;
}

/** The identity of one unit. */
export interface UnitIdentity extends Identity {
  readonly unit: string;
}

/** 1 to 128 printable characters of Unicode: no control characters, no separators of lines. */
const PRINTABLE = /^[^\p{C}\p{Zl}\p{Zp}]{1,128}$/u;

/** Returns whether `text` can be the name of a unit: 1 to 128 printable characters. */
export function isUnitName(text: string): boolean {
  return PRINTABLE.test(text);
}

/** Returns `value` if it is 1 to 128 printable characters, otherwise undefined. */
export function printable(value: unknown): string | undefined {
  return typeof value === 'string' && PRINTABLE.test(value) ? value : undefined;
}
