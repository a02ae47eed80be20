import { open } from 'node:fs/promises';
import { codeOf } from '../../errors.js';

/** The two meta pages, and where their fields are: mdb.c of lmdb-js, struct MDB_page and MDB_meta. Little-endian. */
const PAGE_HEADER = 24;
const MAGIC = 0xbeefc0de;
const PAGE_SIZE = 24;
const LAST_PAGE = 120;
const TRANSACTION = 128;
const META_BYTES = PAGE_HEADER + TRANSACTION + 8;
const MIN_PAGE = 512;
const MAX_PAGE = 65_536;

interface Meta {
  readonly pageBytes: number;
  readonly lastPage: bigint;
  readonly transaction: bigint;
}

/**
 * Returns whether the LMDB file at `path` is missing, empty, or begins and ends as LMDB has written it. LMDB itself does
 * not check that: it ends the process if it is given another file, or one that was cut off.
 */
export async function isIntact(path: string): Promise<boolean> {
  let file;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return true;
    throw error;
  }
  try {
    const { size } = await file.stat();
    if (size === 0) return true;
    const read = async (at: number): Promise<Meta | undefined> => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(META_BYTES), 0, META_BYTES, at);
      return bytesRead === META_BYTES ? metaIn(buffer.subarray(PAGE_HEADER)) : undefined;
    };
    const first = await read(0);
    const second = first && (await read(first.pageBytes));
    if (!first || second?.pageBytes !== first.pageBytes) return false;
    const newer = second.transaction > first.transaction ? second : first;
    return BigInt(size) >= (newer.lastPage + 1n) * BigInt(first.pageBytes);
  } finally {
    await file.close();
  }
}

function metaIn(meta: Buffer): Meta | undefined {
  const pageBytes = meta.readUInt32LE(PAGE_SIZE);
  if (meta.readUInt32LE(0) !== MAGIC || pageBytes < MIN_PAGE || pageBytes > MAX_PAGE) return undefined;
  return { pageBytes, lastPage: meta.readBigUInt64LE(LAST_PAGE), transaction: meta.readBigUInt64LE(TRANSACTION) };
}
