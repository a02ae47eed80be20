import type * as otel from '@opentelemetry/api';
import type { IncomingHttpHeaders } from 'node:http';
import { ConfigError } from './errors.js';

const NAME = 'otaflux';

/** Undefined as long as nobody asks for traces: then every span is one comparison. */
let api: typeof otel | undefined;

/**
 * Makes spans where the standard `OTEL_…` variables ask for them. Who collects them is loaded by the operator, as with
 * `node --import @opentelemetry/auto-instrumentations-node/register`. Rejects with ConfigError when the package is missing.
 */
export async function enableTracing(environment: Readonly<Record<string, string | undefined>>): Promise<void> {
  const { OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT } =
    environment;
  const asked = OTEL_TRACES_EXPORTER ?? OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? OTEL_EXPORTER_OTLP_ENDPOINT;
  if (!asked || OTEL_TRACES_EXPORTER === 'none' || OTEL_SDK_DISABLED?.toLowerCase() === 'true') {
    api = undefined;
    return;
  }
  try {
    api = await import('@opentelemetry/api');
  } catch {
    throw new ConfigError('OTEL_…: traces need the package @opentelemetry/api: run npm install @opentelemetry/api');
  }
}

/** `work` within a span of that name, whose parent is the span around it; the error of a rejection is the span's. */
export function traced<T>(name: string, attributes: otel.Attributes, work: () => Promise<T>): Promise<T> {
  if (!api) return work();
  const { trace, SpanStatusCode } = api;
  return trace.getTracer(NAME).startActiveSpan(name, { attributes }, async (span) => {
    try {
      return await work();
    } catch (error) {
      span.recordException(error as Error);
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end();
    }
  });
}

/** `work` within the span around it, which an instrumented server makes, else in the trace that the caller's `traceparent` names. */
export function continued<T>(headers: IncomingHttpHeaders, work: () => T): T {
  if (!api) return work();
  const { context, propagation, trace } = api;
  if (trace.getActiveSpan()) return work();
  return context.with(propagation.extract(context.active(), headers), work);
}
