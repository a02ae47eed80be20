import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Fleet } from '../../src/fleet/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { kafka, mosquitto, nats, rabbitMq, redis, type EventBroker } from '../support/event-brokers.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { describeWith } from '../support/real-server.js';
import { TestService, until } from '../support/service.js';
import { pushSamples } from '../support/webhook-bodies.js';

interface Row {
  readonly name: string;
  readonly program: string;
  readonly create: () => EventBroker;
  /** How the broker spells the levels of `line-1/sensor` and of a unit in topics. */
  readonly product: readonly string[];
  readonly unit: string;
}

const UNIT = '24:6f:28/aa.bb';
const SLASHES = { product: ['line-1', 'sensor'], unit: '24:6f:28%2Faa.bb' };
const DOTS = { product: ['line-1', 'sensor'], unit: '24:6f:28%2Faa%2Ebb' };
const ROWS: readonly Row[] = [
  { name: 'mosquitto', program: 'mosquitto', create: mosquitto, ...SLASHES },
  { name: 'nats-server', program: 'nats-server', create: nats, ...DOTS },
  { name: 'redis-server', program: 'redis-server', create: redis, ...SLASHES },
  { name: 'rabbitmq-server', program: 'rabbitmq-server', create: rabbitMq, ...DOTS },
  // A real Kafka in a container where Docker is, else the double of franz-go.
  { name: 'Kafka', program: 'go', create: kafka, ...SLASHES },
];

/** zot, pkg/extensions/events/nats_sink.go: a CloudEvent in structured mode, without headers. */
const zotEvent = (tag: string): string =>
  JSON.stringify({
    specversion: '1.0',
    id: '6ba7b810-9dad-11d1-80b4-00c04fd430c8',
    source: 'zotregistry.dev',
    type: 'zotregistry.image.updated',
    datacontenttype: 'application/json',
    data: {
      name: 'fw/line-1/sensor',
      reference: tag,
      digest: `sha256:${'a'.repeat(64)}`,
      mediaType: 'x',
      manifest: '',
    },
  });

const INSTALLED = JSON.stringify({ version: '1.0.0', outcome: 'installed', message: 'fine' });

for (const { name, program, create, product, unit } of ROWS)
  describeWith([program], `events of ${name}`, () => {
    const registry = new FakeRegistry();
    let broker: EventBroker;
    let service: TestService;

    beforeAll(async () => {
      await registry.start();
      broker = create();
      await broker.reserve();
      await broker.start();
    });
    afterAll(async () => {
      await broker.stop();
      await registry.stop();
    });
    beforeEach(() => {
      registry.push('fw/line-1/sensor', '1.0.0', firmwareBytes(10_000));
    });
    afterEach(async () => {
      await service.stop();
      registry.remove('fw/line-1/sensor');
    });

    const start = async (url = broker.url): Promise<void> => {
      service = await TestService.start({
        REGISTRY_URL: registry.url,
        REPOSITORY_PREFIX: 'fw',
        REFRESH_INTERVAL: '1h',
        EVENTS: url,
      });
      expect(await service.versionOf('line-1/sensor')).toBe('1.0.0');
    };
    const connected = (times = 1): Promise<void> =>
      until(() => service.events('events.connected').length >= times, `connection ${times}`);
    const showsVersion = (version: string): Promise<void> =>
      until(async () => (await service.versionOf('line-1/sensor')) === version, `version ${version}`);
    const counted = async (result: string): Promise<number> =>
      Number(
        new RegExp(`otaflux_events_total\\{.*result="${result}"\\} (\\d+)`).exec(await service.metrics())?.[1] ?? 0,
      );
    const fleet = (): Fleet => service.service.app.get(Fleet, { strict: false });
    const stateOf = async (): Promise<unknown> => fleet().find({ product: 'line-1/sensor', unit: UNIT });

    it('refresh the device that zot, or a bridge, names', async () => {
      await start();
      await connected();
      registry.push('fw/line-1/sensor', '1.1.0', firmwareBytes(10_000, 'zot'));
      await broker.publish(['webhooks', 'cloudevents'], zotEvent('1.1.0'));
      await showsVersion('1.1.0');

      registry.push('fw/line-1/sensor', '1.2.0', firmwareBytes(10_000, 'harbor'));
      const [harbor] = pushSamples('fw/line-1/sensor', '1.2.0').filter(({ source }) => source === 'harbor');
      await broker.publish(['webhooks', 'harbor'], JSON.stringify(harbor?.body));
      await showsVersion('1.2.0');
      expect(await counted('queued')).toBe(2);
    });

    it('are only counted when they are malformed, after the first of each kind', async () => {
      await start();
      await connected();
      for (let i = 0; i < 5; i++) await broker.publish(['webhooks', 'harbor'], '{"type":');
      for (let i = 0; i < 5; i++) await broker.publish(['webhooks', 'nobody'], '{}');
      for (let i = 0; i < 5; i++) await broker.publish([...product, 'units', unit, 'report'], '{"outcome":"exploded"}');
      await until(async () => (await counted('invalid')) === 15, '15 invalid messages');
      expect(service.events('events.message_problem')).toHaveLength(2);
      expect(service.events('events.message_problem')[0]).toMatchObject({ broker: expect.any(String) as unknown });
      registry.push('fw/line-1/sensor', '1.1.0', firmwareBytes(10_000, 'after'));
      await broker.publish(['webhooks', 'cloudevents'], zotEvent('1.1.0'));
      await showsVersion('1.1.0');
    });

    it('report for the unit in their topic, once', async () => {
      await start();
      await connected();
      const topic = [...product, 'units', unit, 'report'];
      await broker.publish(topic, INSTALLED);
      await until(async () => (await counted('reported')) === 1, 'the report');
      expect(await stateOf()).toMatchObject({
        running: '1.0.0',
        outcome: { outcome: 'installed', version: '1.0.0', message: 'fine' },
      });
      await broker.publish(topic, INSTALLED);
      await until(async () => (await counted('ignored')) === 1, 'the duplicate');
      expect(await service.metrics()).toMatch(/otaflux_unit_outcomes_total\{[^}]*outcome="installed"[^}]*\} 1\n/);

      await broker.publish(['nothing-here', 'units', unit, 'report'], INSTALLED);
      await until(async () => (await counted('unknown')) === 1, 'the unknown product');
    });

    it('come again after the broker was killed, and devices notice nothing', async () => {
      await start();
      await connected();
      await broker.kill();
      await until(() => service.events('events.disconnected').length > 0, 'the loss');
      expect(await service.versionOf('line-1/sensor')).toBe('1.0.0');
      expect(await service.metrics()).toMatch(/otaflux_events_connected\{broker="\w+"\} 0/);
      await broker.start();
      await connected(2);
      registry.push('fw/line-1/sensor', '1.1.0', firmwareBytes(10_000, 'again'));
      await broker.publish(['webhooks', 'cloudevents'], zotEvent('1.1.0'));
      await showsVersion('1.1.0');
    });

    it('come when the broker does, if it was unreachable at the start', async () => {
      await broker.kill();
      await start();
      await until(() => service.events('events.disconnected').length > 0, 'the failure');
      expect(service.events('events.disconnected')[0]).toMatchObject({
        level: 'warn',
        reason: expect.stringMatching(
          /^cannot reach \w+:\/\/127\.0\.0\.1:\d+: connection refused\. Check that the server runs/,
        ) as unknown,
      });
      await broker.start();
      await connected();
      await broker.publish([...product, 'units', unit, 'report'], INSTALLED);
      await until(async () => (await counted('reported')) === 1, 'the report');
    });
  });
