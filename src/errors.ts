import { types } from 'node:util';

/**
 * Why a release cannot be had. `absent` and `untrusted` are answers; `unavailable` and `protocol` are failures:
 * - `absent`: it is not there, says the registry
 * - `untrusted`: it is there, but no signature that is asked for verifies
 * - `unavailable`: the registry cannot be asked now
 * - `protocol`: the registry answered, and the answer is wrong
 */
export type OtaErrorCode = 'absent' | 'untrusted' | 'unavailable' | 'protocol';

export interface OtaErrorOptions {
  cause?: unknown;
  /**
   * With `absent`: the registry refuses to say whether it is there (401 or 403 for a private or unknown repository).
   * What is known already stays known then, because a lost permission is no withdrawal.
   */
  denied?: boolean;
}

/** The one error that crosses rooms. Its message is for logs, never for a device. */
export class OtaError extends Error {
  readonly denied: boolean;

  constructor(
    readonly code: OtaErrorCode,
    message: string,
    options: OtaErrorOptions = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.name = 'OtaError';
    this.denied = options.denied ?? false;
  }

  /** `error` itself when it is one, else an OtaError with `code` whose cause it is. */
  static from(error: unknown, code: OtaErrorCode, message: string): OtaError {
    return error instanceof OtaError ? error : new OtaError(code, `${message}: ${reasonOf(error)}`, { cause: error });
  }
}

/** A wrong option, flag, key or file: ends the process with exit code 2 and this one line. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigError';
  }
}

/** The code of a system or library error, such as ENOENT; undefined when it has none. Knows errors of other realms, too. */
export function codeOf(error: unknown): string | undefined {
  return types.isNativeError(error) && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** One line that says what went wrong, with the innermost cause that adds something. */
export function reasonOf(error: unknown): string {
  if (!types.isNativeError(error)) return String(error);
  const code = error instanceof OtaError ? '' : (codeOf(error) ?? '');
  const own = error.message || code || error.name;
  const text = code && !own.includes(code) ? `${own} (${code})` : own;
  const cause = types.isNativeError(error.cause) ? reasonOf(error.cause) : '';
  return (cause && !text.includes(cause) ? `${text}: ${cause}` : text).replaceAll(/\s*\n\s*/g, ' ');
}
