import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { ServerResponse } from 'node:http';
import {
  Delivery,
  DeviceProtocol,
  type Ask,
  DeviceRefusal,
  injects,
  type Release,
  type DeviceRequest,
  type Match,
} from '../../src/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { RawClient } from '../support/raw-client.js';
import { TestService, until } from '../support/service.js';

/** A dialect with the mistakes that dialects have: what it throws where, is answered, and never ends the service. */
class MistakenProtocol extends DeviceProtocol {
  constructor(private readonly delivery: Delivery) {
    super();
  }

  override match(_method: string, path: string): Match | undefined {
    if (!path.startsWith('/mistaken/')) return undefined;
    return { route: '/mistaken/:device', params: { device: decodeURIComponent(path.slice('/mistaken/'.length)) } };
  }

  override identify({ params }: DeviceRequest): Ask {
    return { product: params.device ?? '' };
  }

  override handle({ product }: Ask, request: DeviceRequest, response: ServerResponse): void | Promise<void> {
    if (product === 'refused') throw new DeviceRefusal(404, 'none', ['X-Reason', 'none\n']);
    const answer = (release: Release): void => {
      this.delivery.send(release, request, response, ['X-Name', 'firmware\n.bin']);
    };
    const release = this.delivery.wanted(product, request);
    if (release instanceof Promise) return release.then(answer);
    answer(release);
  }
}

const firmware = firmwareBytes(5_000);
const registry = new FakeRegistry();
let service: TestService;

beforeEach(async () => {
  await registry.start();
  registry.push('fw', '1.0.0', firmware);
  service = await TestService.start(
    { REGISTRY_URL: registry.url },
    { protocols: [injects(MistakenProtocol, Delivery)] },
  );
});
afterEach(async () => {
  await service.stop();
  await registry.stop();
});

it('a path that its match cannot read is answered 500', async () => {
  const response = await service.fetch('/mistaken/%');
  expect({ status: response.status, body: await response.text() }).toEqual({
    status: 500,
    body: 'Internal error. The log of the server says why',
  });
  expect(await service.versionOf('fw')).toBe('1.0.0');
});

it('a header that cannot be sent is answered 500, behind another answer, too', async () => {
  registry.push('slow', '1.0.0', firmware);
  await service.versionOf('fw');
  registry.fault = (request, response, kind) => {
    if (kind !== 'tags') return false;
    setTimeout(() => {
      registry.answer(request, response);
    }, 200);
    return true;
  };
  const client = await RawClient.open(service.port);
  client.send('GET /version?device=slow HTTP/1.1\r\nHost: x\r\n\r\nGET /mistaken/fw HTTP/1.1\r\nHost: x\r\n\r\n');
  expect((await client.receive()).status).toBe(200);
  expect((await client.receive()).status).toBe(500);
  client.close();
  expect(await service.versionOf('fw')).toBe('1.0.0');
  await until(async () => /^otaflux_downloads 0$/m.test(await service.metrics()), 'the download to end');
});

it('a refusal that cannot be sent ends its connection only', async () => {
  await expect(service.fetch('/mistaken/refused')).rejects.toThrow();
  expect(await service.versionOf('fw')).toBe('1.0.0');
});
