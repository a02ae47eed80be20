import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** What log lines say of the request that they belong to. */
export interface RequestContext {
  readonly requestId: string;
  /** Of the caller's trace, where it sent one. */
  readonly traceId?: string;
}

/** The request that work is done for; also behind its answer, as when a webhook's hint is followed. */
export const requestContext = new AsyncLocalStorage<RequestContext>();

/** What a caller may name its request: more would be no name, and could break a line. */
const REQUEST_ID = /^[\w.:/+=-]{1,128}$/;
/** W3C Trace Context, section 3.2: version, trace id, parent id, flags. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}/;

/** The context of a request by its `X-Request-Id`, or one that is made, and its `traceparent`. */
export function contextOf(headers: IncomingHttpHeaders): RequestContext {
  const named = headers['x-request-id'];
  const requestId = typeof named === 'string' && REQUEST_ID.test(named) ? named : randomUUID();
  const traceId = typeof headers.traceparent === 'string' ? TRACEPARENT.exec(headers.traceparent)?.[1] : undefined;
  return { requestId, ...(traceId !== undefined && { traceId }) };
}
