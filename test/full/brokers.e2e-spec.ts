import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Authority } from '../support/authority.js';
import { KafkaServer, NatsServer, RabbitMq, RedisServer, type Broker, type BrokerTls } from '../support/brokers.js';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { describeWith } from '../support/real-server.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const firmware = firmwareBytes(1_000);
const payload = (version: string): string => `{"version":"${version}","size":1000}`;

interface Case {
  readonly name: string;
  readonly programs: readonly string[];
  readonly make: () => Broker;
  /** Keeps nothing itself: STATE_DIR remembers. */
  readonly forgets?: true;
  /** What is in it is lost when it is killed. */
  readonly isVolatile?: true;
}

const CASES: Case[] = [
  { name: 'redis', programs: ['redis-server'], make: () => new RedisServer() },
  { name: 'nats', programs: ['nats-server'], make: () => new NatsServer() },
  { name: 'nats', programs: ['nats-server'], make: () => new NatsServer(false), forgets: true, isVolatile: true },
  { name: 'rabbitmq', programs: ['rabbitmq-server', 'epmd'], make: () => new RabbitMq(), forgets: true },
  { name: 'kafka', programs: ['go'], make: () => new KafkaServer() },
];

const registry = new FakeRegistry();
let state = '';
let service: TestService | undefined;

beforeAll(() => registry.start());
afterAll(() => registry.stop());
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'otaflux-state-'));
});
afterEach(async () => {
  await service?.stop();
  service = undefined;
  rmSync(state, { recursive: true, force: true });
  for (const name of [...registry.names()]) registry.remove(name);
});

const start = async (options: TestOptions): Promise<TestService> =>
  (service = await TestService.start({
    REGISTRY_URL: registry.url,
    REPOSITORY_PREFIX: 'fw',
    REFRESH_INTERVAL: '1h',
    STATE_DIR: state,
    WEBHOOK_SECRET: 'a-secret-for-tests',
    ...options,
  }));
const push = (device: string, version: string): string => registry.push(`fw/${device}`, version, firmware);
const hook = async (device: string, tag: string): Promise<void> => {
  const body = JSON.stringify({ repository: `fw/${device}`, tag });
  expect(
    (await fetch(`${service?.url}/webhooks/generic?token=a-secret-for-tests`, { method: 'POST', body })).status,
  ).toBe(200);
};
const metric = async (line: string): Promise<boolean> => (await service?.metrics())?.includes(line) ?? false;
const connected = (name: string): Promise<void> =>
  until(() => metric(`otaflux_notifier_connected{notifier="${name}"} 1`), `the connection to ${name}`, 40_000);
const idle = (name: string): Promise<void> =>
  until(() => metric(`otaflux_notices_pending{notifier="${name}"} 0`), 'no notice to be pending', 60_000);

for (const { name, programs, make, forgets, isVolatile } of CASES) {
  describeWith(programs, `notices over ${name}${forgets && isVolatile ? ' without JetStream' : ''}`, () => {
    let broker: Broker;
    // Servers in Erlang and Go take seconds to be there, so one does for all tests.
    beforeAll(async () => {
      broker = await make().start();
    }, 360_000);
    afterAll(() => broker.stop());

    it('reach subscribers by the device, whatever its name', async () => {
      await start({ NOTIFY: broker.url });
      await connected(name);
      const listener = await broker.listen();
      const devices = ['plain', 'line-1/sensor', 'v1.2/sensor_a', 'v1/2/sensor'];
      for (const device of devices) push(device, '1.2.3');
      for (const device of devices) await hook(device, '1.2.3');
      await until(() => listener.messages.length === devices.length, 'the messages');
      expect(new Map(listener.messages.map((message) => [message.device, message.payload]))).toEqual(
        new Map(devices.map((device) => [device, payload('1.2.3')])),
      );
      push('plain', '1.3.0');
      await hook('plain', '1.3.0');
      await until(() => listener.messages.length === devices.length + 1, 'the newer release');
      expect(listener.messages.at(-1)).toEqual({ device: 'plain', payload: payload('1.3.0') });
      await idle(name);
      if (!isVolatile) expect((await broker.newest()).get('plain')).toBe(payload('1.3.0'));
      await listener.stop();
    }, 180_000);

    it('are not sent again by a restart without a change; what changed meanwhile is told once, a withdrawal too', async () => {
      await start({ NOTIFY: broker.url });
      for (const device of ['same', 'pushed', 'withdrawn']) push(device, '1.0.0');
      for (const device of ['same', 'pushed', 'withdrawn']) await service?.version(device);
      await connected(name);
      await idle(name);
      await service?.stop();
      push('pushed', '1.1.0');
      registry.remove('fw/withdrawn');
      const listener = await broker.listen();
      // Kafka gives what came before, too.
      const before = (): number => listener.messages.filter((message) => message.payload === payload('1.0.0')).length;
      if (name === 'kafka') await until(() => before() >= 3, 'what was told before');
      const told = before();
      await start({ NOTIFY: broker.url });
      const last = (device: string): string | undefined =>
        listener.messages.filter((message) => message.device === device).at(-1)?.payload;
      await until(() => last('pushed') === payload('1.1.0'), 'the push meanwhile', 40_000);
      await until(() => last('withdrawn') === '', 'the withdrawal meanwhile');
      expect(await service?.versionOf('same')).toBe('1.0.0');
      await idle(name);
      expect(before()).toBe(told);
      expect(listener.messages.filter((message) => message.payload === payload('1.1.0'))).toHaveLength(1);
      expect(
        listener.messages.filter(({ device, payload: text }) => device === 'withdrawn' && text === ''),
      ).toHaveLength(1);
      await listener.stop();
    }, 270_000);

    it('are lost by no broker that is killed among 300 pushes and is back during the next 300', async () => {
      await start({ NOTIFY: broker.url });
      await connected(name);
      const devices = Array.from({ length: 300 }, (_value, i) => `d${i}`);
      let slowestMs = 0;
      const pushAll = async (version: string, at150: () => Promise<unknown>): Promise<void> => {
        for (const [i, device] of devices.entries()) {
          push(device, version);
          const startedMs = performance.now();
          await hook(device, version);
          slowestMs = Math.max(slowestMs, performance.now() - startedMs);
          if (i === 150) await at150();
        }
      };
      let back: Promise<unknown> = Promise.resolve();
      await pushAll('1.0.0', () => broker.kill());
      await pushAll('2.0.0', () => {
        back = broker.start();
        return Promise.resolve();
      });
      await back;
      const listener = isVolatile ? await broker.listen() : undefined;
      await until(() => service!.events('release.changed').length >= 600, 'all releases', 30_000);
      await connected(name);
      await idle(name);
      if (listener) {
        // What nobody keeps was told to those who listened: of a device whose push was not seen yet the version before,
        // but to no device the older behind the newer, and the newer to all who heard the older.
        for (const device of new Set(listener.messages.map((message) => message.device))) {
          const payloads = listener.messages
            .filter((message) => message.device === device)
            .map(({ payload: text }) => text);
          expect(payloads.at(-1)).toBe(payload('2.0.0'));
          expect(payloads.lastIndexOf(payload('1.0.0'))).toBeLessThan(payloads.indexOf(payload('2.0.0')));
        }
        await listener.stop();
      } else {
        const newest = await broker.newest();
        expect(devices.map((device) => newest.get(device))).toEqual(devices.map(() => payload('2.0.0')));
      }
      process.stdout.write(`${name}: slowest of 600 webhooks while it is away: ${slowestMs.toFixed(0)} ms\n`);
      expect(slowestMs).toBeLessThan(5_000);
      expect(service!.events('notifier.failed').filter(({ level }) => level === 'warn').length).toBeLessThan(5);
    }, 450_000);
  });
}

const SECURE = [
  {
    name: 'redis',
    programs: ['redis-server'],
    scheme: 'rediss://:p%40ss@',
    make: (tls: BrokerTls) => new RedisServer(tls),
  },
  {
    name: 'nats',
    programs: ['nats-server'],
    scheme: 'tls://robot:p%40ss@',
    make: (tls: BrokerTls) => new NatsServer(true, tls),
  },
  {
    name: 'rabbitmq',
    programs: ['rabbitmq-server', 'epmd'],
    scheme: 'amqps://',
    make: (tls: BrokerTls) => new RabbitMq(tls),
  },
];

for (const { name, programs, scheme, make } of SECURE) {
  describeWith(programs, `${name} with TLS and client certificates`, () => {
    it('is told, and not when its certificate is wrong', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'otaflux-pki-'));
      const [ca, other] = [new Authority(folder, 'ca'), new Authority(folder, 'other')];
      const client = ca.issue('client');
      const broker = await make({ ca: ca.cert, server: ca.issue('server') }).start();
      const url = (trusted: Authority): string =>
        `${scheme}127.0.0.1:${broker.port}?topic=fw&ca=${trusted.cert}&cert=${client.cert}&key=${client.key}`;
      push('a', '1.0.0');
      await start({ NOTIFY: url(other) });
      await until(() => service!.events('notifier.failed').length > 0, 'the refusal', 20_000);
      expect(service!.events('notifier.failed')[0]?.reason).toMatch(/certificate|signature/i);
      await service?.stop();
      await start({ NOTIFY: url(ca) });
      await service?.version('a');
      await until(
        () => metric(`otaflux_notices_total{notifier="${name}",result="confirmed"} 1`),
        'the confirmation',
        20_000,
      );
      expect(JSON.stringify(service!.logs)).not.toContain('p@ss');
      await broker.stop();
      rmSync(folder, { recursive: true, force: true });
    }, 270_000);
  });
}

describeWith(['redis-server'], 'several receivers', () => {
  it('wait each by itself', async () => {
    const broker = await new RedisServer().start();
    await start({ NOTIFY: `redis://127.0.0.1:1?name=away,${broker.url}` });
    push('a', '1.0.0');
    await hook('a', '1.0.0');
    await until(async () => (await broker.newest()).get('a') === payload('1.0.0'), 'the notice');
    await idle('redis');
    expect(await metric('otaflux_notices_pending{notifier="away"} 1')).toBe(true);
    const ready = await (await fetch(`${service?.url}/health/ready`)).json();
    expect(ready).toMatchObject({
      status: 'ok',
      details: { broker: { away: { connected: false, pending: 1 }, redis: { connected: true, pending: 0 } } },
    });
    await broker.stop();
  });
});
