import type * as otel from '@opentelemetry/api';
import type { IncomingHttpHeaders } from 'node:http';
import { ConfigError } from './errors.js';

const NAME = 'otaflux';

/** Undefined if tracing is off. A span then costs one comparison. */
let api: typeof otel | undefined;

/**
 * Turns on spans if the standard `OTEL_…` variables ask for them. The operator loads the SDK that exports them, for
 * example with `node --import @opentelemetry/auto-instrumentations-node/register`. Rejects with ConfigError if the
 * package @opentelemetry/api is missing.
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

/** Runs `work` in a span with that name, below the current span. If the work rejects, the span records the error. */
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

/**
 * Runs `work` in the current span, if an instrumented server has started one, otherwise in the trace of the caller's
 * `traceparent`.
 */
export function continued<T>(headers: IncomingHttpHeaders, work: () => T): T {
  if (!api) return work();
  const { context, propagation, trace } = api;
  if (trace.getActiveSpan()) return work();
  return context.with(propagation.extract(context.active(), headers), work);
}
