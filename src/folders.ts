import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf } from './errors.js';

/**
 * Creates the directory `path` and its missing parents, and rejects with the error of the operating system. Other
 * processes may create the same directories at the same time.
 *
 * Node's own recursive `mkdir` never returns where the system answers ENOENT though the parent exists, as in `/proc`.
 */
export async function makeFolder(path: string): Promise<void> {
  const parent = dirname(path);
  if ((await made(path)) !== 'no-parent') return;
  if (parent === path) await mkdir(path);
  else await makeFolder(parent);
  // The parent exists now. If the answer is the same again, it is final.
  if ((await made(path)) === 'no-parent') await mkdir(path);
}

async function made(path: string): Promise<'made' | 'no-parent'> {
  try {
    await mkdir(path);
  } catch (error) {
    if (await isFolder(path)) return 'made';
    if (codeOf(error) === 'ENOENT') return 'no-parent';
    throw error;
  }
  return 'made';
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (entry) => entry.isDirectory(),
    () => false,
  );
}
