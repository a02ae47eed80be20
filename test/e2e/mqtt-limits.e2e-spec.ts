import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { IConnackPacket } from 'mqtt-packet';
import { createServer, type AddressInfo } from 'node:net';
import { FakeRegistry } from '../support/fake-registry.js';
import { expectStop, stopped } from '../support/leftovers.js';
import { ScriptedMqtt } from '../support/scripted-mqtt.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const DEVICES = ['a', 'b', 'c', 'd', 'e', 'f'];

describe('What an MQTT 5 broker does not allow', () => {
  let registry: FakeRegistry;
  let broker: ScriptedMqtt;
  let service: TestService;

  beforeEach(async () => {
    registry = await new FakeRegistry().start();
    for (const device of DEVICES) registry.push(device, '1.0.0', Buffer.from(`firmware of ${device}`));
  });
  afterEach(async () => {
    await service.stop();
    await broker.stop();
    await registry.stop();
  });

  async function told(properties: NonNullable<IConnackPacket['properties']>, options: TestOptions = {}): Promise<void> {
    broker = await new ScriptedMqtt(properties).start();
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      MQTT_URL: `mqtt://127.0.0.1:${broker.port}?version=5`,
      MQTT_TOPIC: 'firmware',
      ...options,
    });
    await until(() => service.events('notifier.connected').length > 0, 'the connection');
    await Promise.all(DEVICES.map((device) => service.versionOf(device)));
  }

  const all = (): Promise<void> => until(() => broker.published.length >= DEVICES.length, 'all messages');

  it.each<[string, NonNullable<IConnackPacket['properties']>, Partial<{ qos: number; retain: boolean }>, RegExp]>([
    ['retained messages', { retainAvailable: false }, { qos: 1, retain: false }, /does not retain/],
    ['more than QoS 0', { maximumQoS: 0 }, { qos: 0, retain: true }, /QoS 0/],
    ['either', { maximumQoS: 0, retainAvailable: false }, { qos: 0, retain: false }, /QoS 0|does not retain/],
    ['wildcards', { wildcardSubscriptionAvailable: false }, { qos: 1, retain: true }, /wildcard/],
  ])('is honoured and said once: %s', async (_name, properties, expected, reason) => {
    await told(properties);
    await all();
    for (const { qos, retain } of broker.published) expect({ qos, retain }).toEqual(expected);
    expect(broker.violations).toEqual([]);
    expect(broker.connects).toHaveLength(1);
    const lines = service.events('notifier.limited');
    expect(lines).toHaveLength(Object.keys(properties).length);
    for (const line of lines) expect(line).toMatchObject({ level: 'warn', reason: expect.stringMatching(reason) });
  });

  it.each([1, 2, 5])('is honoured: more than %i messages that wait for a confirmation', async (receiveMaximum) => {
    await told({ receiveMaximum });
    await all();
    expect(broker.violations).toEqual([]);
    expect(broker.connects).toHaveLength(1);
  });

  it('is not sent: a message that is too large is given up, the others are not', async () => {
    const long = 'l'.repeat(60);
    registry.push(long, '1.0.0', Buffer.from('x'));
    await told({ maximumPacketSize: 64 });
    await service.versionOf(long);
    await all();
    await until(() => service.events('notice.given_up').length > 0, 'the log line');
    expect(service.events('notice.given_up')).toMatchObject([
      {
        level: 'error',
        device: long,
        notifier: 'mqtt',
        reason: expect.stringMatching(/has \d+ bytes.*accepts at most 64/),
      },
    ]);
    expect(broker.violations).toEqual([]);
    expect(broker.connects).toHaveLength(1);
    await until(async () => /otaflux_notices_pending\S* 0\n/.test(await service.metrics()), 'an empty outbox');
  });

  it('sends messages of exactly the size that the broker takes', async () => {
    const bytes = 1 + 1 + 2 + 'firmware/a'.length + 2 + 1 + '{"version":"1.0.0","size":13}'.length;
    await told({ maximumPacketSize: bytes });
    await all();
    expect(service.events('notice.given_up')).toEqual([]);
    expect(broker.violations).toEqual([]);
  });

  it('says nothing of a broker that allows all, and sends retained messages of QoS 1', async () => {
    await told({});
    await all();
    for (const { qos, retain } of broker.published) expect({ qos, retain }).toEqual({ qos: 1, retain: true });
    expect(service.events('notifier.limited')).toEqual([]);
  });

  it('publishes to /DEVICE without MQTT_TOPIC, with a warning', async () => {
    await told({}, { MQTT_TOPIC: '' });
    await all();
    expect(broker.published.map(({ topic }) => topic).sort()).toEqual(DEVICES.map((device) => `/${device}`));
    expect(service.events('notifier.topic_empty')).toMatchObject([{ level: 'warn' }]);
  });
});

describe('The URL of a broker', () => {
  let registry: FakeRegistry;
  let broker: ScriptedMqtt;
  let service: TestService | undefined;

  beforeEach(async () => {
    registry = await new FakeRegistry().start();
  });
  afterEach(async () => {
    await service?.stop();
    service = undefined;
    await broker.stop();
    await registry.stop();
  });

  it.each([
    ['p%ss', 'p%ss'],
    ['100%', '100%'],
    ['100%25', '100%'],
    ['%', '%'],
    ['%zz%40', '%zz@'],
    ['%ff', '%ff'],
    ['a%20b%2', 'a b%2'],
    ['%E4%BD%A0%', '\u4f60%'],
  ])('may have the password %s in it, which is %s', async (written, password) => {
    broker = await new ScriptedMqtt().start();
    const at = `127.0.0.1:${broker.port}`;
    const options = { REGISTRY_URL: registry.url, MQTT_TOPIC: 'x' };
    service = await TestService.start({
      ...options,
      MQTT_URL: `mqtt://${written}:${written}@${at}`,
      NOTIFY: `mqtt://user:${written}@${at}?name=second`,
    });
    await until(() => broker.connects.length === 2, 'both connections');
    for (const { password: sent } of broker.connects) expect(String(sent)).toBe(password);
    expect(broker.connects.map(({ username }) => username).sort()).toEqual([password, 'user'].sort());
  });

  it.each(['MQTT_URL', 'NOTIFY'])('may have an IPv6 address in it: %s', async (variable) => {
    broker = await new ScriptedMqtt().start('::1');
    const url = `mqtt://[::1]:${broker.port}`;
    service = await TestService.start({ REGISTRY_URL: registry.url, MQTT_TOPIC: 'x', [variable]: url });
    await until(() => broker.connects.length > 0, 'the connection');
  });

  it.each(['kafka', 'nats', 'redis', 'amqp', 'http'])('may have an IPv6 address in it: %s', async (scheme) => {
    broker = new ScriptedMqtt();
    let connections = 0;
    const server = createServer((socket) => {
      connections++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '::1', resolve));
    expectStop(server, () => server.close());
    registry.push('esp32', '1.0.0', Buffer.from('one'));
    const NOTIFY = `${scheme}://[::1]:${(server.address() as AddressInfo).port}`;
    service = await TestService.start({ REGISTRY_URL: registry.url, NOTIFY });
    await service.versionOf('esp32');
    await until(() => connections > 0, 'the connection');
    await new Promise((resolve) => server.close(resolve));
    stopped(server);
  });
});
