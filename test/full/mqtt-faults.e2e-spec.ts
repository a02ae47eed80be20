import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { createServer, type Server, type Socket } from 'node:net';
import { Authority } from '../support/authority.js';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { describeWith, Mosquitto, runProgram } from '../support/real-server.js';
import { TestService, until, type TestOptions } from '../support/service.js';
import { Subscriber } from '../support/subscriber.js';

const firmware = firmwareBytes(1_000);
const DEVICES = Array.from({ length: 300 }, (_value, i) => `d${i}`);
const NEWEST = '{"version":"2.0.0","size":1000}';

/** CONNACK and SUBACK, and then nothing: no message is ever acknowledged. */
class SilentBroker {
  private readonly sockets = new Set<Socket>();
  private server: Server | undefined;

  async start(port: number): Promise<void> {
    this.server = createServer((socket) => {
      this.sockets.add(socket);
      socket
        .on('error', () => undefined)
        .on('data', (piece) => {
          if (piece[0] === 0x10) socket.write(Buffer.from([0x20, 2, 0, 0]));
          else if (piece[0] === 0x82) socket.write(Buffer.from([0x90, 3, piece[2] ?? 0, piece[3] ?? 0, 1]));
          else if (piece[0] === 0xa2) socket.write(Buffer.from([0xb0, 2, piece[2] ?? 0, piece[3] ?? 0]));
        });
    }).listen(port, '127.0.0.1');
    await new Promise((resolve) => this.server?.once('listening', resolve));
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server?.close(resolve));
  }
}

interface Fault {
  /** What the log says of it. */
  readonly reason: RegExp;
  readonly options?: TestOptions;
  begin(): Promise<unknown>;
  end(): Promise<unknown>;
  subscribe?(): Promise<Subscriber>;
}

describeWith(['mosquitto'], 'a broker', () => {
  const registry = new FakeRegistry();
  let broker: Mosquitto;
  let service: TestService;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(async () => {
    broker = await new Mosquitto().start();
    await broker.kill();
  });
  afterEach(async () => {
    await service.stop();
    await broker.stop();
    for (const name of [...registry.names()]) registry.remove(name);
  });

  const hook = async (device: string, tag: string): Promise<number> => {
    registry.push(`fw/${device}`, tag, firmware);
    const startedMs = performance.now();
    const body = JSON.stringify({ repository: `fw/${device}`, tag });
    expect(
      (await fetch(`${service.url}/webhooks/generic?token=a-secret-for-tests`, { method: 'POST', body })).status,
    ).toBe(200);
    return performance.now() - startedMs;
  };

  const faults: Record<string, () => Fault> = {
    'that accepts and never acknowledges': () => {
      const silent = new SilentBroker();
      return {
        reason: /has not confirmed the message/,
        begin: () => silent.start(broker.port),
        end: async () => {
          await silent.stop();
          await broker.start();
        },
      };
    },
    'that refuses the password for a while': () => {
      const lines = [`password_file ${broker.file('passwords')}`, 'allow_anonymous false'];
      const password = (text: string): unknown =>
        runProgram('mosquitto_passwd', ['-b', '-c', broker.file('passwords'), 'robot', text]);
      const access = { username: 'robot', password: 'right' };
      return {
        reason: /refused the user or the password/,
        options: { MQTT_USERNAME: 'robot', MQTT_PASSWORD: 'right' },
        begin: () => {
          password('other');
          return broker.start(lines);
        },
        end: async () => {
          await broker.kill();
          password('right');
          await broker.start(lines);
        },
        subscribe: () => Subscriber.start(broker.port, '#', access),
      };
    },
    'whose TLS certificate is wrong for a while': () => {
      const [ca, other] = [new Authority(broker.file('pki'), 'ca'), new Authority(broker.file('pki'), 'other')];
      const client = ca.issue('client');
      const lines = (server: { cert: string; key: string }): string[] => [
        `cafile ${ca.cert}`,
        `certfile ${server.cert}`,
        `keyfile ${server.key}`,
        'allow_anonymous true',
      ];
      return {
        reason: /certificate|signature/i,
        options: {
          MQTT_URL: `mqtts://127.0.0.1:${broker.port}`,
          MQTT_CA_CERT_PATH: ca.cert,
          MQTT_CLIENT_CERT_PATH: client.cert,
          MQTT_CLIENT_KEY_PATH: client.key,
        },
        begin: () => broker.start(lines(other.issue('server'))),
        end: async () => {
          await broker.kill();
          await broker.start(lines(ca.issue('server')));
        },
        subscribe: () =>
          Subscriber.start(broker.port, '#', { protocol: 'mqtts', ca: ca.pem, rejectUnauthorized: true }),
      };
    },
  };

  it.each(Object.keys(faults))(
    '%s, and is right during the next 300 pushes, has the newest of 300 devices',
    async (name) => {
      const fault = faults[name]!();
      await fault.begin();
      service = await TestService.start({
        REGISTRY_URL: registry.url,
        REPOSITORY_PREFIX: 'fw',
        REFRESH_INTERVAL: '1h',
        MQTT_URL: `mqtt://127.0.0.1:${broker.port}`,
        MQTT_TOPIC: 'firmware/releases',
        WEBHOOK_SECRET: 'a-secret-for-tests',
        ...fault.options,
      });
      let slowestMs = 0;
      for (const device of DEVICES) slowestMs = Math.max(slowestMs, await hook(device, '1.0.0'));
      await until(() => service.events('notifier.failed').length > 0, 'the failure');
      expect(service.events('notifier.failed')[0]).toMatchObject({
        level: 'warn',
        reason: expect.stringMatching(fault.reason),
      });
      let ended: Promise<unknown> = Promise.resolve();
      for (const [i, device] of DEVICES.entries()) {
        slowestMs = Math.max(slowestMs, await hook(device, '2.0.0'));
        if (i === 150) ended = fault.end();
      }
      await ended;
      await until(() => service.events('release.changed').length >= 600, 'all releases');
      await until(
        async () => (await service.metrics()).includes('otaflux_notices_pending{notifier="mqtt"} 0'),
        'no notice to be pending',
        60_000,
      );
      const late = await (fault.subscribe?.() ?? Subscriber.start(broker.port));
      await until(() => late.newest.size >= 300, 'all retained messages');
      expect(DEVICES.map((device) => late.newest.get(`firmware/releases/${device}`))).toEqual(
        DEVICES.map(() => NEWEST),
      );
      await late.stop();
      const failures = service.events('notifier.failed');
      process.stdout.write(
        `broker ${name}: slowest of 600 webhooks ${slowestMs.toFixed(0)} ms, ${failures.length} tries\n`,
      );
      // Whoever waited for the broker would take ten seconds.
      expect(slowestMs).toBeLessThan(5_000);
      // No hot loop: waits double from half a second.
      expect(failures.length).toBeLessThan(20);
      expect(failures.filter(({ level }) => level === 'warn').length).toBeLessThan(5);
    },
  );
});
