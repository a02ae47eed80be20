import { createRequire } from 'node:module';

/**
 * Returns the version in package.json. It searches for the file by the name of the package, because this file also
 * becomes a part of the bundle.
 */
export function packageVersion(): string {
  const { version } = createRequire(import.meta.url)('otaflux/package.json') as { version: string };
  return version;
}
