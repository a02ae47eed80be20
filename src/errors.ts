import { types } from 'node:util';
import { schemaProblem } from './schema-problem.js';
import { wordsFor } from './system-errors.js';

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
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ConfigError';
  }

  /** Whether `error` is one, also one that comes from the bundle of the service, which has a class of its own. */
  static is(error: unknown): error is ConfigError {
    return types.isNativeError(error) && error.name === 'ConfigError';
  }
}

/** An error whose message is complete: its cause, the error of a library, is for debugging only. */
export class ExplainedError extends Error {
  override readonly name = 'ExplainedError';
}

/** The code of a system or library error, such as ENOENT; undefined when it has none. Knows errors of other realms, too. */
export function codeOf(error: unknown): string | undefined {
  if (!isError(error)) return undefined;
  if ('code' in error && typeof error.code === 'string') return error.code;
  // undici gives no code to what does not even begin like HTTP.
  return error.name === 'HTTPParserError' ? 'HPE_INVALID_CONSTANT' : undefined;
}

/** The codes of `error` and of what it wraps, from the outside in. */
export function codesOf(error: unknown): string[] {
  if (!isError(error)) return [];
  const code = codeOf(error);
  return [...(code === undefined ? [] : [code]), ...codesOf(error.cause)];
}

/**
 * One line that says what went wrong, for people. The codes of the system and of libraries are translated; errors of
 * ours say all that there is to say, and of others the innermost cause that adds something is added.
 */
export function reasonOf(error: unknown): string {
  return oneLine(textOf(error));
}

/** The same and, where that is a translation, the `cause`: the texts of the libraries beneath, which are for debugging. */
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

/** What the code of `error`, or that of what it wraps, means in words. */
function translationOf(error: Error): string | undefined {
  const words = wordsFor(codeOf(error) ?? '');
  // A library's "fetch failed" says less than what it wraps.
  if (words !== undefined || codeOf(error) === undefined) return words;
  return isError(error.cause) ? translationOf(error.cause) : undefined;
}

/** The texts of the errors that are not ours, from the outside in. */
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

/** Also for errors of other realms, and for what aborts a signal, which is no native error. */
function isError(value: unknown): value is Error {
  return types.isNativeError(value) || value instanceof Error || value instanceof DOMException;
}

function isOurs(error: Error): boolean {
  // By name, because the bundle of the service has classes of its own.
  return ['OtaError', 'ConfigError', 'ExplainedError'].includes(error.name);
}
