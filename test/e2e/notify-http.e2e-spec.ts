import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createHmac } from 'node:crypto';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firmwareBytes } from '../support/bytes.js';
import { Cli } from '../support/cli.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { TestService, until, type TestOptions } from '../support/service.js';

interface Call {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly path: string;
  readonly status: number;
}

/** A receiver of webhooks, which answers as it is told to. */
class Receiver {
  readonly calls: Call[] = [];
  answer: (call: number) => { status: number; headers?: Record<string, string> } = () => ({ status: 204 });
  private server: Server | undefined;
  port = 0;

  async start(): Promise<this> {
    this.server = createServer((request, response) => {
      const pieces: Buffer[] = [];
      request.on('data', (piece: Buffer) => pieces.push(piece));
      request.on('end', () => {
        const { status, headers } = this.answer(this.calls.length);
        const body = Buffer.concat(pieces).toString();
        this.calls.push({ headers: request.headers, body, path: request.url ?? '', status });
        response.writeHead(status, headers).end();
      });
    }).listen(this.port, '127.0.0.1');
    await new Promise((resolve) => this.server?.once('listening', resolve));
    this.port = (this.server.address() as AddressInfo).port;
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** `DEVICE VERSION` of each event that was accepted. */
  get accepted(): string[] {
    return this.calls
      .filter(({ status }) => status < 300)
      .map(({ body }) => (JSON.parse(body) as { data: { device: string; version: string } }).data)
      .map(({ device, version }) => `${device} ${version}`);
  }

  async stop(): Promise<void> {
    const { server } = this;
    if (!server) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const registry = new FakeRegistry();
let receiver: Receiver;
let state = '';
let service: TestService | undefined;

beforeAll(() => registry.start());
afterAll(() => registry.stop());
beforeEach(async () => {
  receiver = await new Receiver().start();
  state = mkdtempSync(join(tmpdir(), 'otaflux-state-'));
});
afterEach(async () => {
  await service?.stop();
  service = undefined;
  await receiver.stop();
  rmSync(state, { recursive: true, force: true });
  for (const name of [...registry.names()]) registry.remove(name);
});

const start = async (options: TestOptions = {}): Promise<TestService> =>
  (service = await TestService.start({
    REGISTRY_URL: registry.url,
    REPOSITORY_PREFIX: 'fw',
    REFRESH_INTERVAL: '1h',
    STATE_DIR: state,
    NOTIFY: receiver.url,
    ...options,
  }));
const push = (device: string, version: string): string => registry.push(`fw/${device}`, version, firmwareBytes(1_000));
const idle = (): Promise<void> =>
  until(
    async () => (await service?.metrics())?.includes('otaflux_notices_pending{notifier="http"} 0') ?? false,
    'no notice to be pending',
  );
const stateFile = (): string => join(state, readdirSync(state).find((name) => name.endsWith('.jsonl')) ?? '');

describe('notices over HTTP', () => {
  it('are CloudEvents in structured mode, signed over the raw body', async () => {
    await start({
      NOTIFY: `http://user:pa%40ss@127.0.0.1:${receiver.port}/in?team=a#format=cloudevents`,
      NOTIFY_SECRET: 's3cret-of-16-characters',
    });
    push('line-1/esp32', '1.2.3');
    await service?.version('line-1/esp32');
    await until(() => receiver.calls.length === 1, 'the event');
    const [{ headers, body, path }] = receiver.calls as [Call];
    expect(path).toBe('/in?team=a');
    expect(JSON.parse(body)).toEqual({
      specversion: '1.0',
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      source: '/otaflux',
      type: 'io.otaflux.release.changed',
      subject: 'line-1/esp32',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      datacontenttype: 'application/json',
      data: { device: 'line-1/esp32', version: '1.2.3', size: 1_000 },
    });
    expect(headers).toMatchObject({
      'content-type': 'application/cloudevents+json; charset=utf-8',
      authorization: `Basic ${Buffer.from('user:pa@ss').toString('base64')}`,
      'x-hub-signature-256': `sha256=${createHmac('sha256', 's3cret-of-16-characters').update(body).digest('hex')}`,
    });
  });

  it('are a text for Slack and its like', async () => {
    await start({ NOTIFY: `${receiver.url}/services/T0/B0#format=slack` });
    push('a', '1.2.3');
    await service?.version('a');
    await until(() => receiver.calls.length === 1, 'the text');
    expect(receiver.calls[0]).toMatchObject({
      path: '/services/T0/B0',
      body: '{"text":"a is now at 1.2.3 (1000 bytes)"}',
    });
  });

  it('go through the proxy of the environment, but not to what NO_PROXY names', async () => {
    const saved = { ...process.env };
    try {
      // The receiver is the proxy: a receiver elsewhere is asked for by its whole URL.
      Object.assign(process.env, { HTTP_PROXY: `127.0.0.1:${receiver.port}`, http_proxy: '' });
      Object.assign(process.env, { NO_PROXY: '127.0.0.0/8', no_proxy: '' });
      await start({ NOTIFY: 'http://hooks.example/in' });
      push('a', '1.2.3');
      await service?.version('a');
      await until(() => receiver.calls.length === 1, 'the event');
      expect(receiver.calls[0]?.path).toBe('http://hooks.example/in');
    } finally {
      process.env = saved;
    }
  });

  it('come again after a refusal, as the same event, and not before the receiver wants them', async () => {
    await start();
    let refusedAtMs = 0;
    receiver.answer = (call) => {
      if (call === 0) return { status: 500 };
      if (call > 1) return { status: 200 };
      refusedAtMs = performance.now();
      return { status: 429, headers: { 'Retry-After': '2' } };
    };
    push('a', '1.0.0');
    await service?.version('a');
    await until(() => receiver.accepted.length === 1, 'the event');
    // Timers may be early by a millisecond.
    expect(performance.now() - refusedAtMs).toBeGreaterThan(1_990);
    expect(new Set(receiver.calls.map(({ body }) => body)).size).toBe(1);
    expect(receiver.calls).toHaveLength(3);
    expect(service?.events('notifier.failed')[0]).toMatchObject({
      reason: `${receiver.url} answered 500, expected 200 to 299. Check its log, and the URL and #format= in NOTIFY`,
    });
  });

  it('connect by their first confirmation, not by the start, and again after a failure', async () => {
    receiver.answer = (call) => ({ status: call < 2 || call === 3 ? 500 : 204 });
    const connected = async (): Promise<boolean> =>
      (await service?.metrics())?.includes('otaflux_notifier_connected{notifier="http"} 1') ?? false;
    await start();
    push('a', '1.0.0');
    await service?.version('a');
    await until(() => service?.events('notifier.failed').length === 1, 'the first failure');
    expect(service?.events('notifier.connected')).toEqual([]);
    expect(await connected()).toBe(false);
    await until(() => receiver.accepted.length === 1, 'the first message');
    await until(connected, 'the connection');
    push('b', '1.0.0');
    await service?.version('b');
    await until(() => receiver.accepted.length === 2, 'the second message');
    await until(() => service?.events('notifier.connected').length === 2, 'the connection after the failure');
  });

  it('follow no redirect, which would carry the event elsewhere', async () => {
    await start();
    receiver.answer = (call) => (call === 0 ? { status: 302, headers: { Location: '/elsewhere' } } : { status: 200 });
    push('a', '1.0.0');
    await service?.version('a');
    await until(() => receiver.accepted.length === 1, 'the event');
    expect(receiver.calls.map(({ path }) => path)).toEqual(['/', '/']);
  });
});

describe('STATE_DIR', () => {
  it('remembers across restarts; without it everything is told once more, and that is said', async () => {
    await start();
    push('a', '1.0.0');
    await service?.version('a');
    await idle();
    await service?.stop();
    await start();
    await service?.version('a');
    push('b', '1.0.0');
    await service?.version('b');
    await until(() => receiver.accepted.includes('b 1.0.0'), 'the new device');
    expect(receiver.accepted).toEqual(['a 1.0.0', 'b 1.0.0']);
    expect(service?.events('notices.unremembered')).toEqual([]);
    await service?.stop();
    await start({ STATE_DIR: '' });
    await service?.version('a');
    await until(() => receiver.accepted.length === 3, 'what is told once more');
    expect(service?.events('notices.unremembered')).toHaveLength(1);
  });

  it('survives a line cut short, and lines that are none', async () => {
    await start();
    for (const device of ['a', 'b']) push(device, '1.0.0');
    for (const device of ['a', 'b']) await service?.version(device);
    await idle();
    await service?.stop();
    const text = readFileSync(stateFile(), 'utf8');
    writeFileSync(stateFile(), `not json\n{"device":"a"}\n${text.slice(0, -8)}`);
    await start();
    for (const device of ['a', 'b']) await service?.version(device);
    await until(() => receiver.accepted.length === 3, 'the one whose line was cut');
    await idle();
    await service?.stop();
    const lines = readFileSync(stateFile(), 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as string[])[0]).sort()).toEqual(['a', 'b']);
  });

  it('stays as small as the devices are few', async () => {
    await start();
    push('a', '1.0.0');
    await service?.version('a');
    await idle();
    await service?.stop();
    const line = readFileSync(stateFile(), 'utf8');
    appendFileSync(stateFile(), line.repeat(20_000));
    await start();
    push('b', '1.0.0');
    await service?.version('b');
    await until(() => receiver.accepted.includes('b 1.0.0'), 'the new device');
    await idle();
    expect(statSync(stateFile()).size).toBeLessThan(1_000);
  });

  it('that cannot be used ends the start', async () => {
    writeFileSync(join(state, 'file'), '');
    await expect(start({ STATE_DIR: join(state, 'file') })).rejects.toThrow(
      /--state-dir: cannot use ".*file": .*\. Expected a directory that the server can create or write to/,
    );
  });

  it('loses no notice to a kill -9, at whatever moment', async () => {
    const devices = ['a', 'b', 'c'];
    const launch = (): Cli =>
      new Cli(
        ['--registry-url', registry.url, '--repository-prefix', 'fw', '--watch', devices.join(',')].concat(
          ['--notify', receiver.url, '--state-dir', state],
          ['--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', '127.0.0.1:0'],
        ),
      );
    const rounds = 20;
    for (let round = 1; round <= rounds; round++) {
      const server = launch();
      const port = await server.port();
      for (const device of devices) {
        push(device, `1.${round}.0`);
        const body = JSON.stringify({ repository: `fw/${device}`, tag: `1.${round}.0` });
        await fetch(`http://127.0.0.1:${port}/webhooks/generic`, { method: 'POST', body });
      }
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 30));
      server.kill('SIGKILL');
      await server.finished;
    }
    const server = launch();
    const newest = devices.map((device) => `${device} 1.${rounds}.0`);
    await until(() => newest.every((event) => receiver.accepted.includes(event)), 'the newest of each');
    server.kill();
    await server.finished;
    // Told twice at worst: when the kill came between the receiver's answer and the disk.
    for (const event of new Set(receiver.accepted))
      expect(receiver.accepted.filter((other) => other === event).length).toBeLessThanOrEqual(2);
    for (const device of devices) {
      const versions = receiver.accepted
        .filter((event) => event.startsWith(`${device} `))
        .map((event) => Number(event.split('.')[1]));
      expect(versions).toEqual(versions.toSorted((a, b) => a - b));
    }
  });
});

describe('NOTIFY', () => {
  it.each([
    [
      'redis://127.0.0.1?tpoic=x',
      'NOTIFY: redis://127.0.0.1: got the option tpoic, expected topic, name, ca, cert, key',
    ],
    [
      'redis://user:hidden@127.0.0.1/x',
      'NOTIFY: redis://127.0.0.1: got /x, expected the number of a database, such as /2',
    ],
    [
      'nats://127.0.0.1?topic=a.>',
      'NOTIFY: nats://127.0.0.1: got topic=a.>, expected a subject without spaces, * and >',
    ],
    ['kafka://a:9092,b:9092?topic=a b', 'NOTIFY: kafka://a:9092: got topic=a b, expected a topic of letters, digits'],
    [
      'amqp://127.0.0.1?topic=amq.topic',
      'NOTIFY: amqp://127.0.0.1: got topic=amq.topic, expected the name of an exchange',
    ],
    ['mqtt://127.0.0.1?topic=a/%23', 'NOTIFY: mqtt://127.0.0.1: got topic=a/#, expected a topic without + and #'],
    [
      'http://127.0.0.1/x#format=xml',
      'NOTIFY: http://127.0.0.1: got format=xml, expected format=cloudevents, format=slack',
    ],
    ['http://a#name=x,http://b#name=x', 'NOTIFY: http://b: got name=x twice, expected a name for each'],
    ['http://a#name=%20', 'NOTIFY: http://a: got name= , expected a name of letters, digits, ., _ and -'],
    ['rediss://a?cert=/x', 'NOTIFY: rediss://a: got cert alone, expected both cert and key'],
    ['rediss://a?ca=/not/there', 'NOTIFY: rediss://a: ca: cannot read "/not/there": no such file or directory'],
    ['ftp://a', 'NOTIFY: got a secret that is not shown, expected URLs that begin with mqtt://'],
    ['http://a:99999', 'NOTIFY: got a secret that is not shown, expected a URL with a port from 1 to 65535'],
    ['kafka://a:9092,b:70000', 'NOTIFY: got a secret that is not shown, expected a URL with a port from 1 to 65535'],
    [
      'kafka://a?sasl=foo',
      'NOTIFY: kafka://a: got sasl=foo, expected sasl=scram-sha-512, sasl=scram-sha-256, sasl=plain',
    ],
    ['kafka://a?sasl=plain', 'NOTIFY: kafka://a: got sasl=plain without a user, expected kafka://USER:PASSWORD@HOST'],
    ['kafkas://u@a', 'NOTIFY: kafkas://a: got a user without a password, expected kafkas://USER:PASSWORD@HOST'],
    ['mqtt://a?version=9', 'NOTIFY: mqtt://a: got version=9, expected version=4 for MQTT 3.1.1, or version=5'],
    ['mqtt://a/firmware', 'NOTIFY: mqtt://a: got the path /firmware, expected no path; the topic is an option'],
  ])('refuses %s', async (notify, message) => {
    await expect(start({ NOTIFY: notify })).rejects.toThrow(message);
    service = undefined;
  });

  it.each([
    ['mqtt://u:hidden@a?x=1', 'MQTT_URL: mqtt://a: got the option x, expected client_id, version'],
    [
      'mqtt://u:hidden@a?version=9',
      'MQTT_URL: mqtt://a: got version=9, expected version=4 for MQTT 3.1.1, or version=5',
    ],
    ['mqtts://u:hidden@a/x', 'MQTT_URL: mqtts://a: got the path /x, expected no path; the topic is an option'],
    ['mqtt://u:hidden@a:99999', 'MQTT_URL: got a secret that is not shown, expected a URL with a port from 1 to 65535'],
  ])('refuses %s in MQTT_URL, too', async (url, message) => {
    await expect(start({ NOTIFY: '', MQTT_URL: url, MQTT_TOPIC: 'x' })).rejects.toThrow(message);
    service = undefined;
  });

  it('is a list whose commas part URLs, not hosts, and names what it makes', async () => {
    await start({ NOTIFY: 'http://127.0.0.1:1,http://127.0.0.1:2/?a=b,c#name=audit redis://127.0.0.1:1' });
    const names = [...(await service!.metrics()).matchAll(/otaflux_notices_pending\{notifier="([^"]+)"\}/g)].map(
      ([, name]) => name,
    );
    expect(names).toEqual(['http', 'audit', 'redis']);
  });
});
