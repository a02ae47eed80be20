import { access, constants, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf, OtaError } from '../../errors.js';
import { fileProblem, writeProblem } from '../../file-problem.js';

/** ENOENT and similar codes mean `absent`. All others mean that the disk cannot be read now. */
export function readError(error: unknown, path: string): OtaError {
  if (error instanceof OtaError) return error;
  if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(codeOf(error) ?? ''))
    return new OtaError(
      'absent',
      `there is no ${path}. Push a version with otaflux push, or check the name of the device`,
      { cause: error },
    );
  return new OtaError('unavailable', `cannot read ${path}: ${fileProblem(error)}`, { cause: error });
}

/** Returns the error of a write below `folder`. It names the folder that exists, not a file that only OtaFlux knows. */
export async function writeError(error: unknown, folder: string): Promise<OtaError> {
  if (error instanceof OtaError) return error;
  const existing = await existingPart(folder);
  if (await isFile(existing)) return noFolder(existing, error);
  return new OtaError('unavailable', `cannot write to ${existing}: ${writeProblem(error)}`, { cause: error });
}

/**
 * Rejects if the folder of --registry-url cannot be used. A missing one is a volume that is not mounted, not a team that
 * has removed its firmware.
 */
export async function demandRoot(root: string): Promise<void> {
  try {
    await access(root, constants.R_OK | constants.X_OK);
  } catch (error) {
    const existing = await existingPart(root);
    if (await isFile(existing)) throw noFolder(existing, error);
    throw new OtaError(
      'unavailable',
      codeOf(error) === 'ENOENT'
        ? `the folder ${root} of --registry-url does not exist. Create it, mount it, or push to it with otaflux push`
        : `cannot read the folder ${root} of --registry-url: ${fileProblem(error)}`,
      { cause: error },
    );
  }
  if (await isFile(root)) throw noFolder(root);
}

function noFolder(path: string, cause?: unknown): OtaError {
  return new OtaError('unavailable', `${path} in --registry-url is a file, expected a folder`, { cause });
}

/** The path itself, or the nearest folder above it that exists. */
async function existingPart(path: string): Promise<string> {
  for (let part = path; ; part = dirname(part)) {
    const exists = await stat(part).then(
      () => true,
      () => false,
    );
    if (exists || part === dirname(part)) return part;
  }
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (entry) => entry.isFile(),
    () => false,
  );
}
