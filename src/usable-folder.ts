import { access, constants } from 'node:fs/promises';
import { ConfigError, reasonOf } from './errors.js';
import { makeFolder } from './folders.js';

/** Makes the folder of `option` where it is not there; rejects with ConfigError when it cannot be made or written to. */
export async function demandFolder(option: string, path: string): Promise<void> {
  try {
    await makeFolder(path);
    await access(path, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new ConfigError(
      `${option}: cannot use ${JSON.stringify(path)}: ${reasonOf(error)}. Expected a directory that the server can create or write to${whoWeAre()}`,
      { cause: error },
    );
  }
}

/** Permissions of a volume are most often those of another user. */
function whoWeAre(): string {
  const uid = process.getuid?.();
  return uid === undefined ? '' : ` (it runs as user ${uid})`;
}
