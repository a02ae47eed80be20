import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { connect, type Socket } from 'node:net';
import { FakeRegistry } from '../support/fake-registry.js';
import { TestService, until } from '../support/service.js';

const PER_SECOND = 600;
const TICK_MS = 50;
const SLOW_MS = 1_000;
/** Four questions, one after another, each with its turn, and some time for a machine that is busy. */
const SECONDS = 15;

/** Asks for ids that nobody has, so many a second, each on a connection of its own, and waits for none of them. */
class Flood {
  private readonly sockets = new Set<Socket>();
  private readonly timer: NodeJS.Timeout;
  asked = 0;

  constructor(port: number, path: (id: string) => string) {
    this.timer = setInterval(() => {
      for (let i = 0; i < (PER_SECOND * TICK_MS) / 1000; i++) {
        const socket = connect(port, '127.0.0.1');
        this.sockets.add(socket);
        socket.on('error', () => undefined).on('close', () => this.sockets.delete(socket));
        socket.resume();
        socket.write(`GET ${path(`made-up-${this.asked++}`)} HTTP/1.1\r\nHost: x\r\n\r\n`);
      }
    }, TICK_MS);
  }

  stop(): void {
    clearInterval(this.timer);
    for (const socket of this.sockets) socket.destroy();
  }
}

describe(`A flood of ${PER_SECOND} made-up ids a second, and a slow registry`, () => {
  let registry: FakeRegistry;
  let service: TestService;
  let flood: Flood | undefined;

  beforeEach(async () => {
    registry = await new FakeRegistry().start();
    registry.push('esp32', '1.0.0', Buffer.from('one'));
    registry.push('watched', '1.0.0', Buffer.from('one'));
  });
  afterEach(async () => {
    flood?.stop();
    flood = undefined;
    await registry.stop();
    await service.stop();
  });

  const made = {
    '/version': (id: string) => `/version?device=${id}`,
    '/firmware': (id: string) => `/firmware?device=${id}`,
    '/firmware of one version': (id: string) => `/firmware?device=${id}&version=1.0.0`,
  };
  const floods = Object.entries(made);

  function slowDown(): void {
    registry.fault = (request, response) => {
      setTimeout(() => {
        registry.answer(request, response);
      }, SLOW_MS);
      return true;
    };
  }

  async function beginFlood(path: (id: string) => string): Promise<void> {
    slowDown();
    flood = new Flood(service.port, path);
    await until(() => (flood?.asked ?? 0) > 3 * PER_SECOND, 'the flood', 20_000);
  }

  it.each(floods)('do not keep a new release of a known device waiting: %s', async (_name, path) => {
    service = await TestService.start({ REGISTRY_URL: registry.url, REFRESH_INTERVAL: '1s' });
    await expect(service.versionOf('esp32')).resolves.toBe('1.0.0');
    await beginFlood(path);
    registry.push('esp32', '1.1.0', Buffer.from('two'));
    await until(async () => (await service.versionOf('esp32')) === '1.1.0', 'the new release', SECONDS * 1000);
  });

  it('do not keep a webhook, or a device that is watched, waiting', async () => {
    service = await TestService.start({ REGISTRY_URL: registry.url, WATCH: 'watched', REFRESH_INTERVAL: '10m' });
    await until(async () => (await service.versionOf('watched')) === '1.0.0', 'the first look');
    await beginFlood(made['/version']);
    registry.push('watched', '1.1.0', Buffer.from('two'));
    await service.fetch('/webhooks/distribution', {
      method: 'POST',
      headers: { 'content-type': 'application/vnd.docker.distribution.events.v1+json' },
      body: JSON.stringify({
        events: [{ action: 'push', target: { repository: 'watched', tag: '1.1.0' } }],
      }),
    });
    await until(async () => (await service.versionOf('watched')) === '1.1.0', 'the new release', SECONDS * 1000);
  });
});
