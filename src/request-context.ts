import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** The fields that log lines of a request have. */
export interface RequestContext {
  readonly requestId: string;
  /** The trace id of the caller, if it sent one. */
  readonly traceId?: string;
}

/**
 * The request for which work is done. It also applies to work after the response, such as the refresh after a webhook.
 */
export const requestContext = new AsyncLocalStorage<RequestContext>();

/** Request ids that are accepted from callers. Longer ids, and ids with other characters, could break a log line. */
const REQUEST_ID = /^[\w.:/+=-]{1,128}$/;
/** W3C Trace Context, section 3.2: version, trace id, parent id, flags. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}/;

/** Returns the context of a request: its `X-Request-Id` or a new id, and the trace id of its `traceparent`. */
export function contextOf(headers: IncomingHttpHeaders): RequestContext {
  const named = headers['x-request-id'];
  const requestId = typeof named === 'string' && REQUEST_ID.test(named) ? named : randomUUID();
  const traceId = typeof headers.traceparent === 'string' ? TRACEPARENT.exec(headers.traceparent)?.[1] : undefined;
  return { requestId, ...(traceId !== undefined && { traceId }) };
}
