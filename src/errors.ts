import { types } from 'node:util';

/**
 * Why a release cannot be had. `absent` and `untrusted` are answers; the others are failures, after which nobody knows
 * what the answer would have been:
 * - `absent`: it is not there, says the registry
 * - `untrusted`: it is there, but no signature that is asked for verifies
 * - `denied`: the registry refuses to say (401, 403): wrong credentials, a lost permission, a private repository
 * - `unavailable`: the registry cannot be asked now
 * - `protocol`: the registry answered, and the answer is wrong
 */
export type OtaErrorCode = 'absent' | 'untrusted' | 'denied' | 'unavailable' | 'protocol';

/** The one error that crosses rooms. Its message is for logs, never for a device. */
export class OtaError extends Error {
  constructor(
    readonly code: OtaErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'OtaError';
  }

  /** Whether `error` says what is so (`absent`, `untrusted`), and not only that it could not be found out. */
  static isAnswer(error: unknown): error is OtaError {
    return error instanceof OtaError && (error.code === 'absent' || error.code === 'untrusted');
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

  /** Whether `error` is one, also one that comes from the bundle of the service, which has a class of its own. */
  static is(error: unknown): error is ConfigError {
    return types.isNativeError(error) && error.name === 'ConfigError';
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
