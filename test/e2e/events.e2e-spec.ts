import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { parseSettings } from '../../src/config/index.js';
import { Fleet } from '../../src/fleet/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { sample } from '../support/extent.js';
import { FakeNats } from '../support/fake-nats.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { TestService, until, type TestOptions } from '../support/service.js';
import { pushSamples } from '../support/webhook-bodies.js';

/** Words of libraries, which help no operator. */
const RAW =
  /\bE(?!VENTS)[A-Z]{4,}\b|KafkaJS|connack|header flag|Protocol error|RESP type|Handshake|_FAILED|undefined|sUpErS3cret/;

describe('EVENTS', () => {
  const registry = new FakeRegistry();
  let service: TestService;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    registry.push('esp32', '1.0.0', firmwareBytes(10_000));
  });
  afterEach(async () => {
    await service.stop();
    registry.remove('esp32');
  });

  const start = async (EVENTS: string, options: TestOptions = {}): Promise<void> => {
    service = await TestService.start({ REGISTRY_URL: registry.url, REFRESH_INTERVAL: '1h', EVENTS, ...options });
    expect(await service.versionOf('esp32')).toBe('1.0.0');
  };
  const connected = (): Promise<void> => until(() => service.events('events.connected').length > 0, 'the connection');
  const counts = async (): Promise<Record<string, number>> =>
    Object.fromEntries(
      [...(await service.metrics()).matchAll(/otaflux_events_total\{.*result="(\w+)"\} (\d+)/g)].map(
        ([, result = '', count]) => [result, Number(count)],
      ),
    );
  const fleet = (): Fleet => service.service.app.get(Fleet, { strict: false });

  describe('from a broker that floods', () => {
    let nats: FakeNats;
    beforeEach(async () => {
      nats = await new FakeNats().start();
    });
    afterEach(() => nats.stop());

    it('are dropped beyond a bound, counted, and do not keep devices waiting', async () => {
      await start(nats.url);
      await connected();
      const many = 50_000;
      nats.send(
        'otaflux.webhooks.harbor',
        Array.from({ length: many }, (_, i) => `{"nr":${i}`),
        'otaflux.webhooks.*',
      );
      let answered = 0;
      const total = async (): Promise<number> => Object.values(await counts()).reduce((a, b) => a + b, 0);
      while ((await total()) < many) {
        expect(await service.versionOf('esp32')).toBe('1.0.0');
        expect(Number(/otaflux_events_waiting\{.*\} (\d+)/.exec(await service.metrics())?.[1])).toBeLessThanOrEqual(
          1000,
        );
        answered++;
      }
      expect(answered).toBeGreaterThan(0);
      const { invalid = 0, dropped = 0 } = await counts();
      expect(invalid + dropped).toBe(many);
      expect(dropped).toBeGreaterThan(0);
      expect(service.events('events.message_problem')).toHaveLength(2);
    });

    it('have at most 1 MiB', async () => {
      await start(nats.url);
      await connected();
      nats.send('otaflux.webhooks.harbor', [Buffer.alloc(1024 * 1024 + 1, ' ')], 'otaflux.webhooks.*');
      await until(async () => (await counts()).too_large === 1, 'the large message');
      expect(service.events('events.message_problem')[0]?.reason).toMatch(/^a message has more than 1048576 bytes/);
    });

    it('are read once, even if the subscription of a team overlaps', async () => {
      await start(`${nats.url}?subscribe=zot.events`);
      await connected();
      registry.push('esp32', '1.1.0', firmwareBytes(10_000, 'zot'));
      const data = { name: 'esp32', reference: '1.1.0', digest: `sha256:${'a'.repeat(64)}` };
      nats.send('zot.events', [JSON.stringify({ specversion: '1.0', type: 'zotregistry.image.updated', data })]);
      await until(async () => (await service.versionOf('esp32')) === '1.1.0', 'the new version');
      expect(await counts()).toEqual({ queued: 1 });
    });

    // In binary mode, HTTP headers tell what happened; a message of a broker has none.
    const bodies = pushSamples('esp32').filter(({ headers }) => !('ce-type' in headers));
    it.each(sample(bodies, 4))('refresh the device: $source ($name)', async ({ source, body }) => {
      await start(nats.url);
      await connected();
      registry.push('esp32', '1.1.0', firmwareBytes(10_000, 'newer'));
      nats.send(`otaflux.webhooks.${source}`, [JSON.stringify(body)], 'otaflux.webhooks.*');
      await until(async () => (await service.versionOf('esp32')) === '1.1.0', 'the new version');
    });

    it('show in the attribute connection whether a unit is there', async () => {
      await start(nats.url);
      await connected();
      const send = (word: string): void => {
        nats.send('otaflux.esp32.units.u1.status', [word], 'otaflux.*.units.*.status');
      };
      const shown = (word: string): Promise<void> =>
        until(
          async () => (await fleet().find({ product: 'esp32', unit: 'u1' }))?.attributes?.connection === word,
          word,
        );
      for (const [word, means] of [
        ['Online', 'online'],
        ['"offline"', 'offline'],
        ['1', 'online'],
        ['0', 'offline'],
      ] as const) {
        send(word);
        await shown(means);
      }
      send('0');
      await until(async () => (await counts()).ignored === 1, 'the duplicate');
      send('perhaps');
      await until(async () => (await counts()).invalid === 1, 'the unknown word');
    });

    it('name one unit of one product only, by their topic', async () => {
      await start(nats.url);
      await connected();
      const report = JSON.stringify({ unit: 'other', product: 'other', running: '1.0.0' });
      nats.send('otaflux.esp32.units.own.report', [report], 'otaflux.*.units.*.report');
      await until(async () => (await counts()).reported === 1, 'the report');
      expect(await fleet().list('esp32', undefined, 10)).toMatchObject([{ unit: 'own', running: '1.0.0' }]);
      const long = `otaflux.esp32.units.${'u'.repeat(129)}.report`;
      nats.send(long, [report], 'otaflux.*.units.*.report');
      nats.send('otaflux.ESP32.units.own.report', [report], 'otaflux.*.units.*.report');
      await until(async () => (await counts()).invalid === 2, 'the invalid topics');
    });
  });

  describe('from a server that is no broker', () => {
    const sockets = new Set<Socket>();
    const servers: Server[] = [];
    const serve = async (listener: (socket: Socket) => void): Promise<number> => {
      const server = createServer((socket) => {
        sockets.add(socket.on('error', () => undefined));
        listener(socket);
      });
      servers.push(server);
      await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve as () => void));
      return (server.address() as AddressInfo).port;
    };
    afterAll(() => {
      for (const socket of sockets) socket.destroy();
      for (const server of servers) server.close();
    });

    const SCHEMES = ['mqtt', 'nats', 'redis', 'amqp', 'kafka'];
    const urls = (port: number): string =>
      SCHEMES.map((scheme) => `${scheme}://user:sUpErS3cret@127.0.0.1:${port}?name=${scheme}`).join(',');
    const HOSTS: [string, (socket: Socket) => unknown, attempts?: number][] = [
      ['closes each connection', (socket) => socket.destroy()],
      ['speaks HTTP', (socket) => socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')],
      // Some client libraries wait for ten seconds.
      ['sends noise', (socket) => socket.write(Buffer.alloc(4096, 0xff)), 1],
    ];

    it.each(HOSTS)('that %s are not missed: devices get their answers', async (_what, listener, attempts = 2) => {
      await start(urls(await serve(listener)));
      for (const scheme of SCHEMES)
        await until(
          () =>
            service
              .events('events.disconnected')
              .some(({ broker, failures }) => broker === scheme && Number(failures) >= attempts),
          `attempt ${attempts} of ${scheme}`,
        );
      expect(await service.versionOf('esp32')).toBe('1.0.0');
      expect(service.events('events.connected')).toEqual([]);
      for (const { reason } of service.events('events.disconnected')) {
        expect(reason).toMatch(/^cannot (?:reach|use) \w+:\/\/127\.0\.0\.1:\d+: .+\. [A-Z]/);
        expect(reason).not.toMatch(RAW);
      }
      // Each problem once, then at level debug.
      const warnings = service.events('events.disconnected').filter(({ level }) => level === 'warn');
      expect(warnings).toHaveLength(SCHEMES.length);
    });

    it('that says nothing do not delay the shutdown', async () => {
      const port = await serve(() => undefined);
      await start(urls(port), { SHUTDOWN_GRACE: '30s' });
      await until(() => sockets.size > 0, 'a connection');
      const ended = service.stop().then(() => 'ended');
      await expect(Promise.race([ended, after(10_000)])).resolves.toBe('ended');
    });
  });

  it.each([
    ['http://h', /EVENTS: got .*expected URLs that begin with mqtt:\/\//],
    ['nats://h?topic=a%20b', /EVENTS: nats:\/\/h: got topic=a b, expected a subject/],
    ['mqtt://h?topic=a/%23', /EVENTS: mqtt:\/\/h: got topic=a\/#, expected a topic without \+ and #/],
    ['mqtt://h?qos=2', /EVENTS: mqtt:\/\/h: got the option qos, expected .*client_id/],
    ['redis://h?source=nobody', /EVENTS: redis:\/\/h: got source=nobody, expected one of .*harbor/],
    ['mqtt://h?name=a,mqtt://i?name=a', /EVENTS: mqtt:\/\/i: got name=a twice/],
    ['amqp://h?cert=x', /EVENTS: amqp:\/\/h: got cert alone/],
  ])('%s ends the start with one line', async (EVENTS, message) => {
    await start('');
    const given = { EVENTS: { value: EVENTS, where: 'EVENTS' }, REGISTRY_URL: { value: registry.url, where: 'X' } };
    const failing = async (): Promise<unknown> => {
      parseSettings(given);
      return TestService.start({ REGISTRY_URL: registry.url, EVENTS });
    };
    await expect(failing()).rejects.toMatchObject({
      name: 'ConfigError',
      message: expect.stringMatching(message) as unknown,
    });
  });
});

function after(ms: number): Promise<string> {
  return new Promise((resolve) => setTimeout(resolve, ms, `still open after ${ms} ms`).unref());
}
