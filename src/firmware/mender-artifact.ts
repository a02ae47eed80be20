import { BLOCK_BYTES, isTarHeader } from './tar/tar-header.js';

/** The first file of a Mender artifact, and how its content begins (mender-artifact, artifact-format-v3.md). */
const FIRST_FILE = 'version\0';
const FORMAT = /^\{\s*"format"\s*:\s*"mender"/;

/** Returns whether a file is a Mender artifact, by its first two blocks. It is a tar, and must not be unpacked. */
export function isMenderArtifact(head: Buffer): boolean {
  return (
    head.length >= 2 * BLOCK_BYTES &&
    head.toString('latin1', 0, FIRST_FILE.length) === FIRST_FILE &&
    isTarHeader(head) &&
    FORMAT.test(head.toString('latin1', BLOCK_BYTES, 2 * BLOCK_BYTES))
  );
}
