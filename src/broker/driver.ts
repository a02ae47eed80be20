import { codeOf, ConfigError } from '../errors.js';
import type { Target } from './target.js';

/**
 * Returns the client library of a broker, which users install themselves (an optional peer dependency).
 *
 * @param load imports it, so that the compiler knows its types
 * @throws ConfigError that names the package to install
 */
export async function loadDriver<T>(
  { variable, scheme }: Pick<Target, 'variable' | 'scheme'>,
  packageName: string,
  load: () => Promise<T>,
): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if (codeOf(error) !== 'ERR_MODULE_NOT_FOUND' && codeOf(error) !== 'MODULE_NOT_FOUND') throw error;
    throw new ConfigError(`${variable}: ${scheme}:// needs the package ${packageName}: run npm install ${packageName}`);
  }
}
