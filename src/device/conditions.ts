import type { IncomingHttpHeaders } from 'node:http';

/** The validators of a representation (RFC 9110, section 8.8). */
export interface Validators {
  /** Strong, with its quotes. */
  readonly etag: string;
  readonly lastModifiedMs: number;
}

/** What the conditions of a GET or HEAD come to, in the order of RFC 9110, section 13.2.2. */
export type Outcome = 'proceed' | 'not-modified' | 'precondition-failed';

export function evaluateConditions(headers: IncomingHttpHeaders, validators: Validators): Outcome {
  const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = headers;
  if (ifMatch !== undefined) {
    if (!lists(ifMatch, validators.etag, false)) return 'precondition-failed';
  } else if (isBefore(headers['if-unmodified-since'], validators.lastModifiedMs)) return 'precondition-failed';
  if (ifNoneMatch !== undefined) return lists(ifNoneMatch, validators.etag, true) ? 'not-modified' : 'proceed';
  const since = Date.parse(headers['if-modified-since'] ?? '');
  return since >= validators.lastModifiedMs ? 'not-modified' : 'proceed';
}

/** Whether `If-Range` allows a part: it names this very representation, by its strong ETag or its exact date (section 13.1.5). */
export function allowsRange(ifRange: string | undefined, validators: Validators): boolean {
  if (ifRange === undefined) return true;
  return ifRange.trim() === validators.etag || Date.parse(ifRange) === validators.lastModifiedMs;
}

/** Whether a list of entity tags names `etag`; weak ones count in weak comparison only (section 8.8.3.2). */
function lists(header: string, etag: string, weak: boolean): boolean {
  return header.split(',').some((item) => {
    const tag = item.trim();
    return tag === '*' || tag === etag || (weak && tag === `W/${etag}`);
  });
}

function isBefore(date: string | undefined, lastModifiedMs: number): boolean {
  return Date.parse(date ?? '') < lastModifiedMs;
}
