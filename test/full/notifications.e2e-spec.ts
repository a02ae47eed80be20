import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Notifier, type ReleaseNotice } from '../../src/index.js';
import { Authority } from '../support/authority.js';
import { firmwareBytes } from '../support/bytes.js';
import { Cli } from '../support/cli.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { describeWith, Mosquitto, runProgram } from '../support/real-server.js';
import { newKey, signBundle } from '../support/sign.js';
import { Subscriber } from '../support/subscriber.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const firmware = firmwareBytes(1_000);
/** Random moments at which the server is killed. */
const KILLS = 50;
const payload = (version: string, size = 1_000): string => `{"version":"${version}","size":${size}}`;

describeWith(['mosquitto'], 'notices over MQTT', () => {
  const registry = new FakeRegistry();
  let broker: Mosquitto;
  let service: TestService;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(async () => {
    broker = await new Mosquitto().start();
  });
  afterEach(async () => {
    registry.fault = () => false;
    for (const name of [...registry.names()]) registry.remove(name);
    await service.stop();
    await broker.stop();
  });

  const start = async (options: TestOptions = {}): Promise<void> => {
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REPOSITORY_PREFIX: 'fw',
      REFRESH_INTERVAL: '1h',
      MQTT_URL: `mqtt://127.0.0.1:${broker.port}?client_id=otaflux-test`,
      MQTT_TOPIC: 'firmware/releases',
      WEBHOOK_SECRET: 'a-secret-for-tests',
      ...options,
    });
  };
  const push = (device: string, version: string, bytes = firmware): string =>
    registry.push(`fw/${device}`, version, bytes);
  const hook = async (device: string, tag: string): Promise<void> => {
    const response = await fetch(`${service.url}/webhooks/generic?token=a-secret-for-tests`, {
      method: 'POST',
      body: JSON.stringify({ repository: `fw/${device}`, tag }),
    });
    expect(response.status).toBe(200);
  };
  const connected = (): Promise<void> =>
    until(
      async () => (await service.metrics()).includes('otaflux_notifier_connected{notifier="mqtt"} 1'),
      'the broker',
    );
  const idle = (): Promise<void> =>
    until(
      async () => (await service.metrics()).includes('otaflux_notices_pending{notifier="mqtt"} 0'),
      'no notice to be pending',
    );

  it('have the topic, the payload, the QoS and the retain flag that the Rust server had', async () => {
    await start();
    const subscriber = await Subscriber.start(broker.port);
    push('line-1/sensor', '1.2.3');
    await hook('line-1/sensor', '1.2.3');
    await until(() => subscriber.messages.length === 1, 'the message');
    expect(subscriber.messages).toEqual([
      { topic: 'firmware/releases/line-1/sensor', payload: payload('1.2.3'), retain: false, qos: 1 },
    ]);
    const late = await Subscriber.start(broker.port);
    await until(() => late.messages.length === 1, 'the retained message');
    expect(late.messages[0]).toMatchObject({ payload: payload('1.2.3'), retain: true });
    const ready = await (await fetch(`${service.url}/health/ready`)).json();
    expect(ready).toMatchObject({ status: 'ok', details: { broker: { mqtt: { connected: true, pending: 0 } } } });
    await subscriber.stop();
    await late.stop();
  });

  it('come once for a change, whoever saw it, and a moved tag is one', async () => {
    await start();
    const subscriber = await Subscriber.start(broker.port);
    push('a', '1.0.0');
    await service.version('a');
    await until(() => subscriber.messages.length === 1, 'the first notice');
    await hook('a', '1.0.0');
    push('a', '1.0.0', firmwareBytes(1_000, 'moved'));
    await hook('a', '1.0.0');
    await until(() => subscriber.messages.length === 2, 'the moved tag');
    push('a', '1.1.0', firmwareBytes(2_000));
    await hook('a', '1.1.0');
    await until(() => subscriber.messages.length === 3, 'the newer release');
    expect(subscriber.messages.map((message) => message.payload)).toEqual([
      payload('1.0.0'),
      payload('1.0.0'),
      payload('1.1.0', 2_000),
    ]);
    await subscriber.stop();
  });

  it('tell of the older version when the newest is deleted', async () => {
    await start();
    push('a', '1.0.0');
    push('a', '2.0.0');
    await service.version('a');
    const subscriber = await Subscriber.start(broker.port);
    await until(() => subscriber.newest.get('firmware/releases/a') === payload('2.0.0'), 'the newest');
    registry.repository('fw/a').tags.delete('2.0.0');
    await hook('a', '');
    await until(() => subscriber.newest.get('firmware/releases/a') === payload('1.0.0'), 'the older one');
    await subscriber.stop();
  });

  it('are not sent again by a restart without a change; a push meanwhile is told once, without anybody asking', async () => {
    await start();
    push('same', '1.0.0');
    push('pushed', '1.0.0');
    await service.version('same');
    await service.version('pushed');
    await idle();
    await service.stop();
    push('pushed', '1.1.0');
    const subscriber = await Subscriber.start(broker.port);
    await until(() => subscriber.messages.length === 2, 'what is retained');
    await start();
    await until(() => subscriber.newest.get('firmware/releases/pushed') === payload('1.1.0'), 'the push meanwhile');
    expect(await service.versionOf('same')).toBe('1.0.0');
    await idle();
    expect(subscriber.messages.filter(({ retain }) => !retain)).toHaveLength(1);
    await subscriber.stop();
  });

  it('are lost by no broker that is killed among 300 pushes and is back for the next 300', async () => {
    await start();
    await connected();
    const devices = Array.from({ length: 300 }, (_value, i) => `d${i}`);
    let slowestMs = 0;
    const pushAll = async (version: string, meanwhile: (i: number) => Promise<void>): Promise<void> => {
      for (const [i, device] of devices.entries()) {
        push(device, version);
        const startedMs = performance.now();
        await hook(device, version);
        slowestMs = Math.max(slowestMs, performance.now() - startedMs);
        await meanwhile(i);
      }
    };
    await pushAll('1.0.0', (i) => (i === 150 ? broker.kill() : Promise.resolve()));
    await pushAll('2.0.0', async (i) => {
      if (i === 150) await broker.start();
    });
    await until(() => service.events('release.changed').length >= 600, 'all releases');
    await idle();
    await connected();
    const late = await Subscriber.start(broker.port);
    await until(() => late.messages.length >= 300, 'all retained messages');
    expect(new Set(late.newest.values())).toEqual(new Set([payload('2.0.0')]));
    expect(late.newest.size).toBe(300);
    process.stdout.write(`slowest of 600 webhooks while the broker is away: ${slowestMs.toFixed(0)} ms\n`);
    // Whoever waited for the broker would take ten seconds.
    expect(slowestMs).toBeLessThan(5_000);
    expect(service.events('notifier.failed').filter(({ level }) => level === 'warn').length).toBeLessThan(5);
    await late.stop();
  });

  it('are lost by no broker that forgets what it confirmed', async () => {
    await start();
    push('a', '1.0.0');
    await service.version('a');
    await idle();
    const { port } = broker;
    await broker.stop();
    broker = new Mosquitto();
    broker.port = port;
    await broker.start();
    const subscriber = await Subscriber.start(port);
    await until(() => subscriber.newest.get('firmware/releases/a') === payload('1.0.0'), 'the notice to be sent again');
    await subscriber.stop();
  });

  it('wait for a broker that refuses the password, and say so without it', async () => {
    runProgram('mosquitto_passwd', ['-b', '-c', broker.file('passwords'), 'robot', 'right-password']);
    await broker.kill();
    const locked = [`password_file ${broker.file('passwords')}`, 'allow_anonymous false'];
    await broker.start(locked);
    await start({ MQTT_USERNAME: 'robot', MQTT_PASSWORD: 'other-password' });
    push('a', '1.0.0');
    await service.version('a');
    await until(() => service.events('notifier.failed').length > 0, 'the refusal');
    expect(service.events('notifier.failed')[0]?.reason).toMatch(
      /the broker refused the user or the password\. Correct MQTT_USERNAME/,
    );
    expect(JSON.stringify(service.logs)).not.toContain('other-password');
    runProgram('mosquitto_passwd', ['-b', '-c', broker.file('passwords'), 'robot', 'other-password']);
    await broker.kill();
    await broker.start(locked);
    const subscriber = await Subscriber.start(broker.port, '#', { username: 'robot', password: 'other-password' });
    await until(() => subscriber.messages.length === 1, 'the notice');
    await subscriber.stop();
  });

  it('are sent with TLS and a client certificate, and not to a broker with a wrong one', async () => {
    const ca = new Authority(broker.file('pki'), 'ca');
    const other = new Authority(broker.file('pki'), 'other');
    const server = ca.issue('server');
    const client = ca.issue('client');
    await broker.kill();
    await broker.start([
      `cafile ${ca.cert}`,
      `certfile ${server.cert}`,
      `keyfile ${server.key}`,
      'require_certificate true',
      'use_identity_as_username true',
    ]);
    const tls = {
      MQTT_URL: `mqtts://127.0.0.1:${broker.port}`,
      MQTT_CLIENT_CERT_PATH: client.cert,
      MQTT_CLIENT_KEY_PATH: client.key,
    };
    push('a', '1.0.0');
    await start({ ...tls, MQTT_CA_CERT_PATH: other.cert });
    await until(() => service.events('notifier.failed').length > 0, 'the refusal');
    expect(service.events('notifier.failed')[0]?.reason).toMatch(/certificate|signature/i);
    await service.stop();
    await start({ ...tls, MQTT_CA_CERT_PATH: ca.cert });
    await service.version('a');
    await connected();
    await idle();
  });

  it('of a push that is signed later come once, after the signature', async () => {
    const key = newKey();
    signBundle(registry, 'fw/a', push('a', '1.0.0'), key);
    await start({ COSIGN_PUB_KEY: key.pem });
    await service.version('a');
    await idle();
    const subscriber = await Subscriber.start(broker.port);
    const digest = push('a', '1.1.0', firmwareBytes(1_000, 'signed later'));
    await hook('a', '1.1.0');
    await until(() => service.events('release.untrusted').length === 1, 'the look before the signature');
    signBundle(registry, 'fw/a', digest, key);
    await hook('a', digest.replace(':', '-'));
    await until(() => subscriber.newest.get('firmware/releases/a') === payload('1.1.0'), 'the notice');
    await idle();
    expect(subscriber.messages.filter(({ retain }) => !retain)).toHaveLength(1);
    await subscriber.stop();
  });

  it('reach a subscriber within a second of the push', async () => {
    await start();
    await connected();
    const subscriber = await Subscriber.start(broker.port);
    const times: number[] = [];
    for (let i = 0; i < 20; i++) {
      push(`fast-${i}`, '1.0.0');
      const startedMs = performance.now();
      await hook(`fast-${i}`, '1.0.0');
      await until(() => subscriber.messages.length === i + 1, 'the notice');
      times.push(performance.now() - startedMs);
    }
    const median = times.sort((a, b) => a - b)[10] ?? Infinity;
    process.stdout.write(`webhook to subscriber: median ${median.toFixed(0)} ms\n`);
    expect(median).toBeLessThan(1_000);
    await subscriber.stop();
  });

  it('are lost by no kill -9, at whatever moment', async () => {
    const devices = ['a', 'b', 'line-1/c'];
    const launch = (): Cli =>
      new Cli([
        '--registry-url',
        registry.url,
        '--repository-prefix',
        'fw',
        '--watch',
        devices.join(','),
        '--mqtt-url',
        `mqtt://127.0.0.1:${broker.port}`,
        '--mqtt-topic',
        'firmware/releases',
        '--listen-addr',
        '127.0.0.1:0',
        '--metrics-listen-addr',
        '127.0.0.1:0',
      ]);
    for (let round = 1; round <= KILLS; round++) {
      const server = launch();
      const port = await server.port();
      for (const device of devices) {
        push(device, `1.${round}.0`);
        const body = JSON.stringify({ repository: `fw/${device}`, tag: `1.${round}.0` });
        await fetch(`http://127.0.0.1:${port}/webhooks/generic?token=a-secret-for-tests`, { method: 'POST', body });
      }
      // Some time before, within or after what it has to do.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
      server.kill('SIGKILL');
      await server.finished;
    }
    const server = launch();
    const subscriber = await Subscriber.start(broker.port);
    await until(
      () => devices.every((device) => subscriber.newest.get(`firmware/releases/${device}`) === payload(`1.${KILLS}.0`)),
      'the newest of each',
      20_000,
    );
    server.kill();
    await server.finished;
    await subscriber.stop();
    await start();
  });

  it('of a tag that was moved while the broker was away come, though the broker has the same text already', async () => {
    await start();
    push('a', '1.0.0');
    await service.version('a');
    await idle();
    await broker.kill('SIGTERM');
    push('a', '1.0.0', firmwareBytes(1_000, 'moved'));
    await hook('a', '1.0.0');
    await until(() => service.events('release.changed').length === 2, 'the moved tag');
    await broker.start();
    const subscriber = await Subscriber.start(broker.port);
    await until(() => subscriber.messages.some(({ retain }) => !retain), 'the notice of the moved tag');
    await subscriber.stop();
  });

  it('leave the topic for no device id, however it is written', async () => {
    await start();
    await connected();
    const subscriber = await Subscriber.start(broker.port);
    const system = await Subscriber.start(broker.port, '$SYS/injected/#');
    for (const device of [
      '+',
      '#',
      'a/#',
      '+/b',
      '$SYS/injected',
      '../up',
      '/rooted',
      'a//b',
      'a/',
      'A',
      'a b',
      'a\\u0000b',
      '%2E%2E',
    ]) {
      await service.version(encodeURIComponent(device));
      const body = JSON.stringify({ repository: `fw/${device}`, tag: '1.0.0' });
      await fetch(`${service.url}/webhooks/generic?token=a-secret-for-tests`, { method: 'POST', body });
      await fetch(`${service.managementUrl}/notify?token=a-secret-for-tests&device=${encodeURIComponent(device)}`, {
        method: 'POST',
      });
    }
    push('good', '1.0.0');
    await service.version('good');
    await until(() => subscriber.newest.has('firmware/releases/good'), 'the notice of the good one');
    expect([...subscriber.newest.keys(), ...system.newest.keys()]).toEqual(['firmware/releases/good']);
    await subscriber.stop();
    await system.stop();
  });

  it('of two replicas are told by one at least, and by each once at most', async () => {
    await start({ MQTT_URL: `mqtt://127.0.0.1:${broker.port}?client_id=first` });
    const first = service;
    await start({ MQTT_URL: `mqtt://127.0.0.1:${broker.port}?client_id=second` });
    const subscriber = await Subscriber.start(broker.port);
    const versions = ['1.0.0', '1.1.0', '1.2.0'];
    for (const version of versions) {
      push('a', version);
      // The registry's webhook reaches one of them; the other finds out by a device.
      await hook('a', version);
      await until(async () => (await service.versionOf('a')) === version, 'the second replica');
      await fetch(`${first.url}/webhooks/generic?token=a-secret-for-tests`, {
        method: 'POST',
        body: JSON.stringify({ repository: 'fw/a' }),
      });
      await until(async () => (await first.versionOf('a')) === version, 'the first replica');
    }
    await idle();
    await until(() => subscriber.newest.get('firmware/releases/a') === payload('1.2.0'), 'the newest');
    await first.stop();
    for (const version of versions) {
      const count = subscriber.messages.filter((message) => message.payload === payload(version)).length;
      expect(count).toBeGreaterThanOrEqual(1);
      expect(count).toBeLessThanOrEqual(2);
    }
    await subscriber.stop();
  });

  it('go to the notifier of a team, too', async () => {
    const told: ReleaseNotice[] = [];
    let failures = 0;
    class OwnNotifier extends Notifier {
      override readonly name = 'own';
      override publish(notice: ReleaseNotice): Promise<void> {
        if (failures++ === 0) return Promise.reject(new Error('not yet'));
        told.push(notice);
        return Promise.resolve();
      }
    }
    service = await TestService.start(
      { REGISTRY_URL: registry.url, REPOSITORY_PREFIX: 'fw' },
      { notifiers: [OwnNotifier] },
    );
    push('a', '1.0.0');
    await service.version('a');
    await until(() => told.length === 1, 'the notice');
    expect(told).toEqual([{ device: 'a', release: { version: '1.0.0', sizeBytes: 1_000 } }]);
  });
});
