import { brokenTar, inRange } from './tar-header.js';

/**
 * The records of an extended header (POSIX.1-2001 pax): `LENGTH KEY=VALUE
 * `. The length is in bytes and includes itself.
 */
export interface PaxRecords {
  readonly values: ReadonlyMap<string, string>;
  /** Offsets and lengths of a sparse file, version 0.0, which repeats its keys. */
  readonly sparsePairs: readonly number[];
}

export const NO_RECORDS: PaxRecords = { values: new Map(), sparsePairs: [] };

/** @throws OtaError `protocol` if the records do not have this format */
export function parsePax(bytes: Buffer): PaxRecords {
  const values = new Map<string, string>();
  const sparsePairs: number[] = [];
  for (let at = 0; at < bytes.length && bytes[at] !== 0;) {
    const space = bytes.indexOf(0x20, at);
    const length = Number(bytes.toString('latin1', at, space === -1 ? at : space));
    const end = at + length;
    if (!Number.isSafeInteger(length) || end > bytes.length || end <= space + 1 || bytes[end - 1] !== 0x0a)
      throw brokenTar('an extended header has a record without its length');
    const equals = bytes.indexOf(0x3d, space);
    if (equals === -1 || equals >= end) throw brokenTar('an extended header has a record without a value');
    const key = bytes.toString('utf8', space + 1, equals);
    const value = bytes.toString('utf8', equals + 1, end - 1);
    if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') sparsePairs.push(inRange(Number(value)));
    values.set(key, value);
    at = end;
  }
  return { values, sparsePairs };
}
