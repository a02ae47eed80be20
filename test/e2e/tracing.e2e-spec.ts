import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { context, propagation, trace, type TextMapPropagator } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { Notifier } from '../../src/index.js';
import { continued, enableTracing, traced } from '../../src/tracing.js';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { newKey, signBundle } from '../support/sign.js';
import { TestService, until } from '../support/service.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';

class OwnNotifier extends Notifier {
  override readonly name = 'own';
  override publish(): Promise<void> {
    return Promise.resolve();
  }
}

describe('traces', () => {
  const registry = new FakeRegistry();
  const exporter = new InMemorySpanExporter();
  const key = newKey();
  let service: TestService;

  beforeAll(async () => {
    await registry.start();
    // As an operator's SDK does it, from what OTEL_… variables say.
    trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(new W3CTraceContextPropagator() as TextMapPropagator);
  });
  afterAll(() => registry.stop());
  afterEach(async () => {
    await service.stop();
    delete process.env.OTEL_TRACES_EXPORTER;
    exporter.reset();
  });

  const hook = async (): Promise<void> => {
    const headers = { traceparent: `00-${TRACE}-${PARENT}-01` };
    await fetch(`${service.url}/webhooks/generic?token=a-secret-for-tests`, {
      method: 'POST',
      body: '{"repository":"esp32"}',
      headers,
    });
  };
  const start = async (): Promise<void> => {
    service = await TestService.start(
      { REGISTRY_URL: registry.url, COSIGN_PUB_KEY: key.pem, WEBHOOK_SECRET: 'a-secret-for-tests' },
      { notifiers: [OwnNotifier] },
    );
    signBundle(registry, 'esp32', registry.push('esp32', '1.0.0', firmwareBytes(1_000)), key);
  };

  it('go on from a webhook to the refresh, the signature, the download and the notice', async () => {
    process.env.OTEL_TRACES_EXPORTER = 'otlp';
    await start();
    await hook();
    const names = (): string[] => exporter.getFinishedSpans().map(({ name }) => name);
    await until(() => names().includes('otaflux.publish'), 'the last span');
    const spans = exporter.getFinishedSpans();
    const of = (name: string): (typeof spans)[number] => spans.find((span) => span.name === name)!;
    expect(names().sort()).toEqual([
      'otaflux.publish',
      'otaflux.pull',
      'otaflux.refresh',
      'otaflux.verify',
      'otaflux.webhook',
    ]);
    expect(new Set(spans.map((span) => span.spanContext().traceId))).toEqual(new Set([TRACE]));
    expect(of('otaflux.webhook').parentSpanContext?.spanId).toBe(PARENT);
    for (const [child, parent] of [
      ['otaflux.refresh', 'otaflux.webhook'],
      ['otaflux.verify', 'otaflux.refresh'],
      ['otaflux.pull', 'otaflux.refresh'],
    ] as const)
      expect(of(child).parentSpanContext?.spanId).toBe(of(parent).spanContext().spanId);
    expect(of('otaflux.publish').attributes).toEqual({ notifier: 'own', device: 'esp32' });
    expect(of('otaflux.verify').attributes).toEqual({ repository: 'esp32', version: '1.0.0' });
  });

  it('stay within the span of a server that is instrumented', async () => {
    process.env.OTEL_TRACES_EXPORTER = 'otlp';
    await start();
    const span = trace.getTracer('of an instrumentation').startSpan('POST');
    await context.with(trace.setSpan(context.active(), span), () =>
      continued({ traceparent: `00-${TRACE}-${PARENT}-01` }, () => traced('own', {}, () => Promise.resolve())),
    );
    expect(exporter.getFinishedSpans()[0]?.parentSpanContext?.spanId).toBe(span.spanContext().spanId);
  });

  it('are not made when no variable asks for them', async () => {
    await start();
    await hook();
    await until(() => service.events('release.changed').length === 1, 'the release');
    expect(exporter.getFinishedSpans()).toEqual([]);
    await enableTracing({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://x', OTEL_SDK_DISABLED: 'true' });
    await service.version('esp32');
    expect(exporter.getFinishedSpans()).toEqual([]);
  });
});
