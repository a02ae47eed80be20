import type { IncomingHttpHeaders } from 'node:http';
import { parseHttpDate } from '../http-date.js';

/** The validators of a representation (RFC 9110, section 8.8). */
export interface Validators {
  /** Strong, with its quotes. */
  readonly etag: string;
  /** When this became the answer of its URL, in milliseconds since the epoch, whole seconds. */
  readonly lastModifiedMs: number;
}

/** What the conditions of a GET or HEAD come to, in the order of RFC 9110, section 13.2.2. */
export type Outcome = 'proceed' | 'not-modified' | 'precondition-failed';

/** Evaluates the conditions in `headers`. A date that is no HTTP-date is ignored, as section 13.1.3 demands. */
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
 * Whether `If-Range` allows a part: it names this very representation by its strong ETag. A date never does: two
 * releases may share a second, and half of one behind half of another is worse than a whole download (RFC 9110,
 * section 13.1.5, allows only dates that are strong validators, and ours are not).
 */
export function allowsRange(ifRange: string | undefined, validators: Validators): boolean {
  return ifRange === undefined || ifRange.trim() === validators.etag;
}

/** Whether a list of entity tags names `etag`; weak ones count in weak comparison only (section 8.8.3.2). */
function lists(header: string, etag: string, weak: boolean): boolean {
  return header.split(',').some((item) => {
    const tag = item.trim();
    return tag === '*' || tag === etag || (weak && tag === `W/${etag}`);
  });
}
