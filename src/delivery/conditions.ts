import type { IncomingHttpHeaders } from 'node:http';
import { parseHttpDate } from '../http-date.js';

/** The validators of a representation (RFC 9110, section 8.8). */
export interface Validators {
  /** Strong, with its quotes. */
  readonly etag: string;
  /** Time at which this became the response of its URL, in milliseconds since the epoch, in whole seconds. */
  readonly lastModifiedMs: number;
}

/** The result of the conditions of a GET or HEAD, in the order of RFC 9110, section 13.2.2. */
export type Outcome = 'proceed' | 'not-modified' | 'precondition-failed';

/** Evaluates the conditions in `headers`. Ignores a date that is not an HTTP-date, as section 13.1.3 requires. */
export function evaluateConditions(headers: IncomingHttpHeaders, validators: Validators): Outcome {
  const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = headers;
  if (ifMatch !== undefined) {
    if (!lists(ifMatch, validators.etag, false)) return 'precondition-failed';
  } else {
    const unmodifiedSince = parseHttpDate(headers['if-unmodified-since']);
    if (unmodifiedSince !== undefined && unmodifiedSince < validators.lastModifiedMs) return 'precondition-failed';
  }
  if (ifNoneMatch !== undefined) return lists(ifNoneMatch, validators.etag, true) ? 'not-modified' : 'proceed';
  const modifiedSince = parseHttpDate(headers['if-modified-since']);
  return modifiedSince !== undefined && modifiedSince >= validators.lastModifiedMs ? 'not-modified' : 'proceed';
}

/**
 * Returns whether `If-Range` allows a partial response: it has to be the strong ETag of this representation. A date is
 * never enough: two releases may have the same second, and a file made of parts of both is worse than a complete
 * download. (RFC 9110, section 13.1.5, only allows dates that are strong validators.)
 */
export function allowsRange(ifRange: string | undefined, validators: Validators): boolean {
  return ifRange === undefined || ifRange.trim() === validators.etag;
}

/** Returns whether a list of entity tags contains `etag`. Weak tags only count in weak comparison (section 8.8.3.2). */
function lists(header: string, etag: string, weak: boolean): boolean {
  return header.split(',').some((item) => {
    const tag = item.trim();
    return tag === '*' || tag === etag || (weak && tag === `W/${etag}`);
  });
}
