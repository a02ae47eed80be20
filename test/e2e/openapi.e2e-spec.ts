import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { TestService } from '../support/service.js';

interface Operation {
  responses: Record<string, { content?: Record<string, { schema: Record<string, unknown> }> }>;
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
}
interface Layer {
  route?: { path: string; methods: Record<string, boolean> };
}

describe('/openapi.json', () => {
  const registry = new FakeRegistry();
  let service: TestService;
  let document: Document;

  beforeAll(async () => {
    await registry.start();
    registry.push('esp32', '1.0.0', firmwareBytes(1_000));
    service = await TestService.start({ REGISTRY_URL: registry.url, REGISTRY_TIMEOUT: '1300ms' });
    document = (await service.management.get('/openapi.json').expect(200)).body as Document;
  });
  afterAll(async () => {
    await service.stop();
    await registry.stop();
  });

  it('is on the management port only', async () => {
    expect(document.openapi).toBe('3.1.0');
    await service.api.get('/openapi.json').expect(404);
  });

  it('has every route of the control plane, and no other', () => {
    const { router } = service.service.app.getHttpAdapter().getInstance() as { router: { stack: Layer[] } };
    const routes = router.stack
      .flatMap(({ route }) => (route ? [route] : []))
      .flatMap(({ path, methods }) =>
        Object.keys(methods)
          .filter((method) => ['get', 'post'].includes(method))
          .map((method) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`),
      )
      // Answers 405 to all other methods.
      .filter((route) => route !== 'get /webhooks/{source}');
    const documented = Object.entries(document.paths)
      .filter(([path]) => !['/version', '/firmware', '/firmware/{product}.bin', '/report'].includes(path))
      .flatMap(([path, operations]) => Object.keys(operations).map((method) => `${method} ${path}`));
    expect(documented.sort()).toEqual([...new Set(routes)].sort());
  });

  it.each([
    ['get', '/version?device=esp32', {}, 200],
    ['get', '/version?device=esp32', { Accept: 'application/json' }, 200],
    ['get', '/version', {}, 400],
    ['get', '/version?device=nobody', {}, 404],
    ['post', '/version?device=esp32', {}, 405],
    ['get', '/firmware?device=esp32', {}, 200],
    ['get', '/firmware?device=esp32', { Range: 'bytes=0-9' }, 206],
    ['get', '/firmware?device=esp32', { 'If-None-Match': '*' }, 304],
    ['get', '/firmware?device=esp32', { 'If-Match': '"other"' }, 412],
    ['get', '/firmware?device=esp32', { Range: 'bytes=5000-' }, 416],
    ['post', '/webhooks/generic', {}, 400],
    ['post', '/webhooks/nobody', {}, 404],
    ['get', '/health', {}, 200],
    ['get', '/health/live', {}, 200],
    ['get', '/health/ready', {}, 200],
    ['get', '/health/registry', {}, 200],
    ['get', '/status', {}, 200],
    ['get', '/why?product=esp32&unit=a', {}, 200],
    ['get', '/why?product=nobody', {}, 404],
    ['post', '/notify', {}, 400],
  ])('tells what %s %s with %j is answered', async (method, target, headers, status) => {
    const port = /^\/(?:status|notify|why)/.test(target) ? service.management : service.api;
    const asked = method === 'post' ? port.post(target).type('text/plain').send('x') : port.get(target);
    const response = await asked.set(headers).expect(status);
    const path = target.split('?')[0]!.replace(/^\/webhooks\/.*/, '/webhooks/{source}');
    const operations = document.paths[path]!;
    // A method that is refused is no operation, and every other one of the path tells of it.
    const operation = operations[method] ?? Object.values(operations)[0]!;
    const documented = operation.responses[String(status)];
    expect(documented).toBeDefined();
    const type = response.headers['content-type']?.split(';')[0];
    const text = response.text;
    if (text) expect(Object.keys(documented!.content ?? {})).toContain(type);
    const schema = documented!.content?.[type ?? '']?.schema;
    if (type === 'application/json' && schema?.required) {
      const body = JSON.parse(text) as Record<string, unknown>;
      expect(Object.keys(body)).toEqual(expect.arrayContaining(schema.required as string[]));
      expect(Object.keys(schema.properties as object)).toEqual(expect.arrayContaining(Object.keys(body)));
    }
  });
});
