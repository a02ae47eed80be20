import { types } from 'node:util';
import { schemaProblem } from './schema-problem.js';
import { wordsFor } from './system-errors.js';

/**
 * Why there is no release. `absent` and `untrusted` are answers. The others are failures, after which the answer is not
 * known:
 * - `absent`: the registry says that it does not exist
 * - `untrusted`: it exists, but has no valid signature
 * - `denied`: the registry refused the request (401, 403): wrong credentials, a missing permission, a private
 *   repository
 * - `unavailable`: the registry cannot be reached now
 * - `protocol`: the answer of the registry is wrong
 */
export type OtaErrorCode = 'absent' | 'untrusted' | 'denied' | 'unavailable' | 'protocol';

/** The error by which the ports report failures. Its message is for logs and is never sent to a device. */
export class OtaError extends Error {
  constructor(
    readonly code: OtaErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'OtaError';
  }

  /** Returns whether `error` is an answer (`absent`, `untrusted`) and not a failure. */
  static isAnswer(error: unknown): error is OtaError {
    return error instanceof OtaError && (error.code === 'absent' || error.code === 'untrusted');
  }

  /** Returns `error` itself if it is an OtaError, otherwise a new OtaError with `code` and `error` as its cause. */
  static from(error: unknown, code: OtaErrorCode, message: string): OtaError {
    return error instanceof OtaError ? error : new OtaError(code, `${message}: ${reasonOf(error)}`, { cause: error });
  }
}

/** A wrong option, flag, key or file. It ends the process with exit code 2 and prints its message. */
export class ConfigError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ConfigError';
  }

  /**
   * Returns whether `error` is a ConfigError. It also recognizes the ConfigError of the bundle, which is another class.
   */
  static is(error: unknown): error is ConfigError {
    return types.isNativeError(error) && error.name === 'ConfigError';
  }
}

/** An error with a complete message. Its cause, an error of a library, is for debugging only. */
export class ExplainedError extends Error {
  override readonly name = 'ExplainedError';
}

/**
 * Returns the code of a system or library error, such as ENOENT, or undefined. Works for errors of other realms, too.
 */
export function codeOf(error: unknown): string | undefined {
  if (!isError(error)) return undefined;
  if ('code' in error && typeof error.code === 'string') return error.code;
  // undici sets no code if the response does not begin like HTTP.
  return error.name === 'HTTPParserError' ? 'HPE_INVALID_CONSTANT' : undefined;
}

/** Returns the codes of `error` and of its causes, outermost first. */
export function codesOf(error: unknown): string[] {
  if (!isError(error)) return [];
  const code = codeOf(error);
  return [...(code === undefined ? [] : [code]), ...codesOf(error.cause)];
}

/**
 * Returns one line for people that says what went wrong. It translates codes of the system and of libraries. The
 * message of an own error is complete. For other errors, it appends the innermost cause that adds information.
 */
export function reasonOf(error: unknown): string {
  return oneLine(textOf(error));
}

/**
 * Returns the line of `reasonOf` and, if that is a translation, the messages of the libraries as `cause`, for
 * debugging.
 */
export function explained(error: unknown): { reason: string; cause?: string } {
  const reason = reasonOf(error) + placeOf(error);
  const cause = causesOf(error)
    .filter((text) => !reason.includes(text))
    .join(': ');
  return cause === '' ? { reason } : { reason, cause };
}

/** The file that an error of the file system is about, which its translation does not name. */
function placeOf(error: unknown): string {
  if (!isError(error) || wordsFor(codeOf(error) ?? '') === undefined) return '';
  return 'path' in error && typeof error.path === 'string' ? `: ${error.path}` : '';
}

function textOf(error: unknown): string {
  if (!isError(error)) return String(error);
  if (isOurs(error)) return error.message;
  const translation = translationOf(error);
  if (translation !== undefined) return translation;
  const parsing = parsingProblem(error);
  if (parsing !== undefined) return parsing;
  const code = codeOf(error);
  const own = error.message || code || error.name;
  const cause = isError(error.cause) ? reasonOf(error.cause) : '';
  return cause && !own.includes(cause) ? `${own}: ${cause}` : own;
}

/** What JSON.parse and zod say of what they read, which quotes it or is a list. */
function parsingProblem(error: Error): string | undefined {
  if (error.name === 'SyntaxError' && error.message.includes('JSON')) return 'it is not valid JSON';
  return 'issues' in error && Array.isArray(error.issues)
    ? schemaProblem({ issues: error.issues as Parameters<typeof schemaProblem>[0]['issues'] })
    : undefined;
}

/** Returns the meaning of the code of `error`, or of the code of its cause, in words. */
function translationOf(error: Error): string | undefined {
  const words = wordsFor(codeOf(error) ?? '');
  // "fetch failed" of a library says less than its cause.
  if (words !== undefined || codeOf(error) === undefined) return words;
  return isError(error.cause) ? translationOf(error.cause) : undefined;
}

/** Returns the messages of the errors of libraries in the chain of causes, outermost first. */
function causesOf(error: unknown): string[] {
  if (!isError(error)) return [];
  const inner = causesOf(error.cause);
  if (isOurs(error)) return inner;
  const code = codeOf(error);
  const text = oneLine(
    code === undefined || error.message.includes(code) ? error.message : `${error.message} (${code})`,
  );
  return text === '' || inner.includes(text) ? inner : [text, ...inner];
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ').trim();
}

/**
 * Returns whether `value` is an error, of this realm or another one, or the reason of an aborted signal (a
 * DOMException).
 */
function isError(value: unknown): value is Error {
  return types.isNativeError(value) || value instanceof Error || value instanceof DOMException;
}

function isOurs(error: Error): boolean {
  // By name, because the bundle of the service has classes of its own.
  return ['OtaError', 'ConfigError', 'ExplainedError'].includes(error.name);
}
