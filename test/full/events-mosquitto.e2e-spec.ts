import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { Fleet } from '../../src/fleet/index.js';
import { blocksOf } from '../docs/page.js';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { describeWith, Mosquitto, runProgram } from '../support/real-server.js';
import { TestService, until } from '../support/service.js';
import { Subscriber } from '../support/subscriber.js';

const INSTALLED = '{"version":"1.0.0","outcome":"installed"}';
const REPORT_OF = (unit: string): string => `otaflux/esp32/units/${unit}/report`;
const STATUS_OF = (unit: string): string => `otaflux/esp32/units/${unit}/status`;

describeWith(['mosquitto', 'mosquitto_passwd'], 'units that report by mosquitto', () => {
  const registry = new FakeRegistry();
  const broker = new Mosquitto();
  let service: TestService;
  const clients: MqttClient[] = [];

  beforeAll(async () => {
    await registry.start();
    registry.push('esp32', '1.0.0', firmwareBytes(10_000));
    // The access rules as docs/events.md has them.
    const rules = blocksOf('docs/events.md').find(({ text }) => text.includes('pattern write'))?.text ?? '';
    const acl = broker.file('acl', rules);
    const passwords = broker.file(
      'passwords',
      ['otaflux', 'u1', 'u2'].map((user) => `${user}:secret of ${user}\n`).join(''),
    );
    runProgram('mosquitto_passwd', ['-U', passwords]);
    await broker.start([
      'allow_anonymous false',
      `acl_file ${acl}`,
      `password_file ${passwords}`,
      'max_packet_size 4000000',
    ]);
  });
  afterAll(async () => {
    await broker.stop();
    await registry.stop();
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.end(true);
    await service.stop();
  });

  const start = async (query = ''): Promise<void> => {
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REFRESH_INTERVAL: '1h',
      EVENTS: `mqtt://otaflux:secret%20of%20otaflux@127.0.0.1:${broker.port}${query}`,
    });
    expect(await service.versionOf('esp32')).toBe('1.0.0');
    await until(() => service.events('events.connected').length > 0, 'the connection');
  };
  const clientOf = async (user: string, options: IClientOptions = {}): Promise<MqttClient> => {
    const login = { username: user, password: `secret of ${user}` };
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${broker.port}`, {
      ...login,
      reconnectPeriod: 0,
      ...options,
    });
    client.on('error', () => undefined);
    clients.push(client);
    return client;
  };
  const unitsOf = async (): Promise<string[]> =>
    (await service.service.app.get(Fleet, { strict: false }).list('esp32', undefined, 10)).map(({ unit }) => unit);
  const connectionOf = async (unit: string): Promise<string | undefined> =>
    (await service.service.app.get(Fleet, { strict: false }).find({ product: 'esp32', unit }))?.attributes?.connection;

  it('speak for themselves only, by the access rules of the documentation', async () => {
    await start();
    const unit = await clientOf('u1', { protocolVersion: 5 });
    await expect(unit.publishAsync(REPORT_OF('u2'), INSTALLED, { qos: 1 })).rejects.toThrow(/not authorized/i);
    await expect(unit.publishAsync('otaflux/webhooks/harbor', '{}', { qos: 1 })).rejects.toThrow(/not authorized/i);
    await unit.publishAsync(REPORT_OF('u1'), INSTALLED, { qos: 1 });
    await until(async () => (await unitsOf()).length > 0, 'the report');
    expect(await unitsOf()).toEqual(['u1']);
  });

  it('are shown as offline by their last will', async () => {
    await start();
    const will = { topic: STATUS_OF('u2'), payload: Buffer.from('offline'), qos: 1 as const, retain: true };
    const unit = await clientOf('u2', { will });
    await unit.publishAsync(STATUS_OF('u2'), 'online', { qos: 1, retain: true });
    await until(async () => (await connectionOf('u2')) === 'online', 'online');
    unit.stream.destroy();
    await until(async () => (await connectionOf('u2')) === 'offline', 'offline');
  });

  it('lose no report while OtaFlux is away, if it has a client id', async () => {
    await start('?client_id=otaflux-1');
    await service.stop();
    const unit = await clientOf('u1');
    await unit.publishAsync(REPORT_OF('u1'), INSTALLED, { qos: 1 });
    await start('?client_id=otaflux-1');
    await until(async () => (await unitsOf()).includes('u1'), 'the report');
  });

  it('get no answer, whatever they send', async () => {
    await start();
    const login = { username: 'otaflux', password: 'secret of otaflux' };
    const everything = await Subscriber.start(broker.port, '#', login);
    const unit = await clientOf('u1');
    // What Nest's own transport would take for a request, and answer on TOPIC/reply.
    await unit.publishAsync(REPORT_OF('u1'), '{"id":"1","pattern":"otaflux:report","data":{}}', { qos: 1 });
    await unit.publishAsync(REPORT_OF('u1'), INSTALLED, { qos: 1 });
    await until(async () => (await unitsOf()).length > 0, 'the report');
    expect([...everything.newest.keys()].filter((topic) => !/\/(?:report|status)$/.test(topic))).toEqual([]);
    await everything.stop();
  });

  it('end the connection by a message that is far too large, which is made again', async () => {
    await start();
    const unit = await clientOf('u1');
    await unit.publishAsync(REPORT_OF('u1'), Buffer.alloc(3_000_000, ' '), { qos: 0 });
    await until(() => service.events('events.connected').length > 1, 'the second connection');
    await unit.publishAsync(REPORT_OF('u1'), INSTALLED, { qos: 1 });
    await until(async () => (await unitsOf()).includes('u1'), 'the report');
  });
});
