import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect as connectNats } from '@nats-io/transport-node';
import { Redis } from 'ioredis';
import { Kafka, logLevel } from 'kafkajs';
import mqtt from 'mqtt';
import { appendFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KafkaServer, NatsServer, RabbitMq, RedisServer } from '../support/brokers.js';
import { firmwareBytes } from '../support/bytes.js';
import { ReleaseService } from '../../src/firmware/index.js';
import { Registry } from '../../src/registry/index.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { describeWith, Mosquitto } from '../support/real-server.js';
import { TestService, until } from '../support/service.js';

const firmware = firmwareBytes(1_000);
const OURS = '{"version":"1.0.0","size":1000}';

/** Names that no device has, though their payload is one of ours. */
const NAMES = [
  '../../api/v2.0/users?x=',
  '..',
  'fw/../../admin',
  'esp32/../other',
  'UPPER',
  'esp32:status',
  'esp32/',
  '/esp32',
  'a//b',
  'a b',
  'esp32?x=1',
  'x'.repeat(300),
];
/** What a device may have at a topic of its own beneath that of its product, or another program anywhere. */
const PAYLOADS: [string, string][] = [
  ['esp32/status', 'online'],
  ['esp32/state', '{"version":"1.0.0"}'],
  ['esp32/info', '{"version":"1.0.0","size":1000,"rssi":-60}'],
  ['esp32/one', '{"version":"one","size":1000}'],
  ['esp32/two', '{"version":"1.0.0","size":"1000"}'],
  ['esp32/three', '{"version":"1.0.0","size":-1}'],
  ['esp32/four', '{"size":1000,"version":"1.0.0"}'],
  ['esp32/five', '[]'],
  ['esp32/six', 'null'],
  ['esp32/seven', '{"version":"1.0.0","size":1e3}'],
];
const FOREIGN: [string, string][] = [...NAMES.map((name): [string, string] => [name, OURS]), ...PAYLOADS];

/** A broker, or a file of ours, that others have written to. */
interface Keeper {
  readonly notify: string;
  put(entries: readonly [string, string][]): Promise<void>;
  /** What is kept, by the text that stands in the place of the device. */
  kept(): Promise<Map<string, string>>;
  stop(): Promise<void>;
}

async function mosquitto(): Promise<Keeper> {
  const broker = await new Mosquitto().start();
  const connect = (): Promise<mqtt.MqttClient> => mqtt.connectAsync(`mqtt://127.0.0.1:${broker.port}`, {}, false);
  return {
    notify: `mqtt://127.0.0.1:${broker.port}?topic=firmware`,
    put: async (entries) => {
      const client = await connect();
      for (const [name, payload] of entries)
        await client.publishAsync(`firmware/${name}`, payload, { qos: 1, retain: true });
      await client.endAsync();
    },
    kept: async () => {
      const client = await connect();
      const kept = new Map<string, string>();
      client.on('message', (topic, payload) => kept.set(topic.replace('firmware/', ''), payload.toString()));
      await client.subscribeAsync(['firmware/#', 'end'], { qos: 1 });
      await client.publishAsync('end', 'x', { qos: 1 });
      await until(() => kept.has('end'), 'the end of the retained messages');
      await client.endAsync();
      kept.delete('end');
      return kept;
    },
    stop: () => broker.stop(),
  };
}

async function redis(): Promise<Keeper> {
  const server = await new RedisServer().start();
  const prefix = 'firmware:releases:';
  const client = new Redis(server.port, '127.0.0.1');
  client.on('error', () => undefined);
  return {
    notify: server.url,
    put: async (entries) => {
      for (const [name, payload] of entries) await client.set(prefix + name, payload);
      await client.hset(`${prefix}esp32/hash`, 'version', '1.0.0');
    },
    kept: async () => {
      const keys = (await client.keys(`${prefix}*`)).filter((key) => !key.endsWith('hash'));
      expect(await client.hgetall(`${prefix}esp32/hash`)).toEqual({ version: '1.0.0' });
      return new Map(
        await Promise.all(
          keys.map(async (key): Promise<[string, string]> => [key.slice(prefix.length), (await client.get(key)) ?? '']),
        ),
      );
    },
    stop: () => {
      client.disconnect();
      return server.stop();
    },
  };
}

async function nats(): Promise<Keeper> {
  const server = await new NatsServer().start();
  const client = await connectNats({ servers: `127.0.0.1:${server.port}` });
  const manager = await jetstreamManager(client);
  await manager.streams.add({ name: 'releases', subjects: ['firmware.releases.>'], max_msgs_per_subject: 1 });
  // What no subject can be cannot be published; what is encoded like ours can.
  const words = (name: string): string => name.replaceAll('.', '%2E').replaceAll('/', '.').replaceAll(' ', '+');
  const isSubject = (text: string): boolean => text.split('.').every((word) => word !== '');
  const subject = (name: string): string =>
    isSubject(words(name)) ? words(name) : `bad+${Buffer.from(name).toString('hex')}`;
  return {
    notify: server.url,
    put: async (entries) => {
      for (const [name, payload] of entries)
        await jetstream(client).publish(`firmware.releases.${subject(name)}`, payload);
      // Subjects that read like a device, though ours would be another.
      await jetstream(client).publish('firmware.releases.line/alias', OURS);
      await jetstream(client).publish('firmware.releases.v1%2e2', OURS);
    },
    kept: async () => {
      const kept = new Map<string, string>();
      const info = await manager.streams.info('releases', { subjects_filter: '>' });
      for (const name of Object.keys(info.state.subjects ?? {})) {
        const message = await manager.streams.getMessage('releases', { last_by_subj: name });
        const text = message?.string() ?? '';
        if (text) kept.set(name.replace('firmware.releases.', ''), text);
      }
      expect(kept.get('line/alias')).toBe(OURS);
      expect(kept.get('v1%2e2')).toBe(OURS);
      return new Map([
        ...['here', 'gone', 'same'].flatMap((name): [string, string][] =>
          kept.has(name) ? [[name, kept.get(name) ?? '']] : [],
        ),
        ...FOREIGN.flatMap(([name]): [string, string][] => {
          const text = kept.get(subject(name));
          return text === undefined ? [] : [[name, text]];
        }),
      ]);
    },
    stop: async () => {
      await client.close();
      await server.stop();
    },
  };
}

async function kafka(): Promise<Keeper> {
  const server = await new KafkaServer().start();
  return {
    notify: server.url,
    put: async (entries) => {
      const client = new Kafka({ brokers: [`127.0.0.1:${server.port}`], logLevel: logLevel.NOTHING });
      const admin = client.admin();
      await admin.connect();
      await admin.createTopics({ topics: [{ topic: 'firmware.releases', numPartitions: 2 }] });
      await admin.disconnect();
      const producer = client.producer();
      await producer.connect();
      await producer.send({ topic: 'firmware.releases', messages: entries.map(([key, value]) => ({ key, value })) });
      await producer.disconnect();
    },
    kept: () => server.newest(),
    stop: () => server.stop(),
  };
}

/** What keeps nothing: STATE_DIR does, and others may write there, too. */
function remembered(state: () => string): Pick<Keeper, 'put'> {
  return {
    put: (entries) => {
      const [file = ''] = readdirSync(state());
      appendFileSync(join(state(), file), entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
      return Promise.resolve();
    },
  };
}

let state = '';

async function rabbitmq(): Promise<Keeper> {
  const broker = await new RabbitMq().start();
  const all = new Map<string, string>();
  return {
    ...remembered(() => state),
    notify: broker.url,
    kept: () => broker.newest(all),
    stop: () => broker.stop(),
  };
}

async function http(): Promise<Keeper> {
  const all = new Map<string, string>();
  const server: Server = createServer((request, response) => {
    request.setEncoding('utf8').on('data', (text: string) => {
      const { data } = JSON.parse(text) as { data: { device: string; version: string | null; size: number } };
      const { device, version, size } = data;
      if (version === null) all.delete(device);
      else all.set(device, JSON.stringify({ version, size }));
      if (version === null && device !== 'gone') all.set(`withdrawn ${device}`, '');
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    ...remembered(() => state),
    notify: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    kept: () => Promise.resolve(all),
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) =>
        server.close(() => {
          resolve();
        }),
      );
    },
  };
}

const registry = new FakeRegistry();
let service: TestService | undefined;

beforeAll(() => registry.start());
afterAll(() => registry.stop());
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'otaflux-state-'));
});
afterEach(async () => {
  await service?.stop();
  rmSync(state, { recursive: true, force: true });
});

const CASES: [string, string[], () => Promise<Keeper>, boolean][] = [
  ['mosquitto', ['mosquitto'], mosquitto, false],
  ['redis', ['redis-server'], redis, false],
  ['nats', ['nats-server'], nats, false],
  ['kafka', ['go'], kafka, false],
  ['rabbitmq and STATE_DIR', ['rabbitmq-server', 'epmd'], rabbitmq, true],
  ['http and STATE_DIR', [], http, true],
];

for (const [name, programs, make, isFile] of CASES)
  describeWith(programs, `messages of others at ${name}`, () => {
    let keeper: Keeper;
    beforeAll(async () => {
      keeper = await make();
    });
    afterAll(() => keeper.stop());

    it('are left alone: never asked of the registry, never deleted, never overwritten', async () => {
      const start = async (): Promise<void> => {
        service = await TestService.start({
          REGISTRY_URL: registry.url,
          REPOSITORY_PREFIX: 'fw',
          REFRESH_INTERVAL: '1h',
          STATE_DIR: state,
          NOTIFY: keeper.notify,
        });
        // An HTTP receiver has no connection before its first confirmation.
        if (!keeper.notify.startsWith('http'))
          await until(() => service?.events('notifier.connected').length === 1, 'the connection');
      };
      registry.remove('fw/here');
      for (const device of ['here', 'gone', 'same']) registry.push(`fw/${device}`, '1.0.0', firmware);
      if (isFile) {
        await start();
        for (const device of ['here', 'gone', 'same']) expect(await service?.versionOf(device)).toBe('1.0.0');
        const three = /otaflux_notices_total\{[^}]*result="confirmed"\} 3/;
        await until(async () => three.test((await service?.metrics()) ?? ''), 'what is told');
        await service?.stop();
        await keeper.put(FOREIGN);
      } else {
        await keeper.put([['here', OURS], ['gone', OURS], ['same', OURS], ...FOREIGN]);
      }
      registry.push('fw/here', '1.1.0', firmware);
      registry.remove('fw/gone');
      registry.seen.length = 0;
      await start();
      // Both come after every other device was looked at.
      const newer = '{"version":"1.1.0","size":1000}';
      await until(async () => (await keeper.kept()).get('here') === newer, 'the newer release');
      await until(async () => !(await keeper.kept()).has('gone'), 'the withdrawal');
      await service?.stop();

      const asked = registry.asked.map(({ url }) => /^\/v2\/fw\/([^/]+)\//.exec(url)?.[1] ?? url);
      expect([...new Set(asked)].sort()).toEqual(['gone', 'here', 'same']);
      const expected = isFile ? [] : FOREIGN;
      expect(await keeper.kept()).toEqual(new Map([['here', newer], ['same', OURS], ...expected]));
      expect(service?.events('notifier.connected')[0]).toMatchObject({
        announced: 3,
        otherMessages: expect.any(Number),
      });
    });
  });

describe('what is no device id', () => {
  it.each(NAMES)('is never asked of the registry, whoever hands it to the service: %s', async (name) => {
    service = await TestService.start({ REGISTRY_URL: registry.url });
    registry.seen.length = 0;
    const releases = service.service.app.get(ReleaseService, { strict: false });
    const absent = { code: 'absent', message: expect.stringMatching(/is not a device id/) };
    await expect(releases.refresh(name)).rejects.toMatchObject(absent);
    await expect(releases.refreshAnew(name)).rejects.toMatchObject(absent);
    await expect(Promise.resolve(releases.current(name))).rejects.toMatchObject(absent);
    await expect(releases.exact(name, '1.0.0')).rejects.toMatchObject(absent);
    const source = service.service.app.get(Registry, { strict: false });
    await expect(source.listTags(name, AbortSignal.timeout(5_000))).rejects.toMatchObject({ code: 'protocol' });
    await expect(source.resolve(name, '1.0.0', AbortSignal.timeout(5_000))).rejects.toMatchObject({ code: 'protocol' });
    expect(registry.asked).toEqual([]);
  });
});
