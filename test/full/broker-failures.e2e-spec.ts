import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createServer as createHttp, type Server as HttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { describeWith } from '../support/real-server.js';
import { RefusingKafka } from '../support/scripted-kafka.js';
import { TestService, until, type TestOptions } from '../support/service.js';
import { StrictBrokers } from '../support/strict-brokers.js';

/** Words of libraries, of OpenSSL and of protocols, and the passwords of the tests. */
const RAW =
  /SSL routines|:error:|\bE[A-Z]{4,}\b|getaddrinfo|NOAUTH|WRONGPASS|NOPERM|EXECABORT|Handshake|connack|KafkaJS|_FAILED|REFUSED|Violation|RESP type|header flag|Connection error|ConnectionOpenOk|:right|:wrong|undefined/;
/** A second sentence that begins with what to do. */
const NEXT_STEP = /\. (?:Check|Use|Set|Correct|Allow|Give|Enable|Choose|Create|Raise|Redirects are not followed: use) /;

/** Clients give up after 15 s. */
const PATIENCE_MS = 45_000;

interface Row {
  readonly name: string;
  readonly options: TestOptions;
  readonly reason: RegExp;
  /** Host and port as they are shown. */
  readonly address: string;
  /** The option to check. */
  readonly option: string;
}

const registry = new FakeRegistry();
let web: HttpServer;
let silent: Server;
let closing: Server;
const sockets = new Set<Socket>();
const portOf = (server: Server): number => (server.address() as AddressInfo).port;
const listening = (server: Server): Promise<unknown> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', resolve as () => void));

beforeAll(async () => {
  await registry.start();
  registry.push('a', '1.0.0', firmwareBytes(1_000));
  web = createHttp((_request, response) => response.writeHead(404).end());
  silent = createServer((socket) => sockets.add(socket.on('error', () => undefined)));
  closing = createServer((socket) => socket.destroy());
  await Promise.all([web, silent, closing].map(listening));
});
afterAll(async () => {
  web.closeAllConnections();
  for (const socket of sockets) socket.destroy();
  for (const server of [web, silent, closing]) server.close();
  await registry.stop();
});

/** Returns the reason in the log for each row. Those of NOTIFY share a server, because the time limits are long. */
async function reasonsOf(rows: readonly Row[]): Promise<Map<string, string>> {
  const inNotify = rows.filter(({ options }) => options.NOTIFY !== undefined);
  const urls = inNotify.map(({ options }, i) => named(options.NOTIFY ?? '', `n${i}`));
  const others = rows.filter((row) => !inNotify.includes(row));
  const found = [await firstReasons({ NOTIFY: urls.join(',') }, inNotify)];
  for (const row of others) found.push(await firstReasons(row.options, [row]));
  return new Map(found.flat());
}

function named(url: string, name: string): string {
  return `${url}${url.startsWith('http') ? '#' : url.includes('?') ? '&' : '?'}name=${name}`;
}

/** Starts a server, and returns the reasons of its notifiers: those of NOTIFY by their numbers, or the only one. */
async function firstReasons(options: TestOptions, rows: readonly Row[]): Promise<[string, string][]> {
  if (rows.length === 0) return [];
  const service = await TestService.start({ REGISTRY_URL: registry.url, ...options });
  const of = (i: number): string | undefined =>
    service
      .events('notifier.failed')
      .find(({ notifier }) => notifier === (options.NOTIFY === undefined ? 'mqtt' : `n${i}`))?.reason as
      string | undefined;
  try {
    await service.version('a');
    // A row without a failure shows in the comparison.
    await until(() => rows.every((_row, i) => of(i) !== undefined), 'all failures', PATIENCE_MS).catch(() => undefined);
    return rows.map(({ name }, i) => [name, of(i) ?? 'no failure']);
  } finally {
    await service.stop();
  }
}

function expectSpeaking(rows: readonly Row[], reasons: ReadonlyMap<string, string>): void {
  const problems = rows.flatMap(({ name, reason, address, option }) => {
    const text = reasons.get(name) ?? '';
    const missing = [reason.test(text), text.includes(address), text.includes(option), NEXT_STEP.test(text)];
    return missing.every(Boolean) && !RAW.test(text) ? [] : [`${name}: ${text}`];
  });
  expect(problems).toEqual([]);
}

const notify = (name: string, url: string, reason: RegExp, option = 'NOTIFY'): Row => {
  const { host } = new URL(url);
  return { name, options: { NOTIFY: url }, reason, address: host, option };
};
const mqtt = (name: string, url: string, reason: RegExp, option = 'MQTT_URL', more: TestOptions = {}): Row => ({
  ...notify(name, url, reason, option),
  options: { MQTT_URL: url, MQTT_TOPIC: 'allowed', ...more },
});

const SCHEMES = ['mqtt', 'mqtts', 'ws', 'wss', 'redis', 'rediss', 'nats', 'tls', 'amqp', 'amqps', 'kafka', 'kafkas'];

describeWith([], 'a failure of a connection', () => {
  it('names the address, the option and the next step, with every scheme', async () => {
    const rows = [...SCHEMES, 'http', 'https'].flatMap((scheme) => {
      const isTls = ['mqtts', 'wss', 'rediss', 'amqps', 'kafkas', 'https'].includes(scheme);
      const at = (name: string, host: string, reason: RegExp): Row =>
        notify(`${scheme} ${name}`, `${scheme}://${host}`, reason);
      const web404 = scheme === 'http' ? /answered 404.*Check the path/ : isTls ? /does not speak TLS\. Use/ : /./;
      return [
        at('refused', '127.0.0.1:1', /connection refused\. Check that the server runs/),
        at('unknown', 'no-such-host.invalid:7', /unknown host\. Check the host name in NOTIFY/),
        at('closing', `127.0.0.1:${portOf(closing)}`, /closed the connection/),
        at('web', `127.0.0.1:${portOf(web)}`, web404),
        at('silent', `127.0.0.1:${portOf(silent)}`, /within the time limit|no NATS server/),
      ];
    });
    expectSpeaking(rows, await reasonsOf(rows));
  });
});

const brokers = new StrictBrokers();
afterAll(() => brokers.stop());
const ca = brokers.authority.cert;
const other = brokers.other.cert;

describeWith(['redis-server'], 'a refusal of Redis', () => {
  it('names the address, the option and the next step', async () => {
    const { plain, tls } = await brokers.redis();
    const rows = [
      notify('no password', `redis://127.0.0.1:${plain}`, /demands a password\. Set/),
      notify('wrong password', `redis://:wrong@127.0.0.1:${plain}`, /refused the user or the password/),
      notify('wrong user', `redis://nobody:wrong@127.0.0.1:${plain}`, /refused the user or the password/),
      notify('no command', `redis://silent:right@127.0.0.1:${plain}`, /lacks a permission/, '?topic='),
      notify('no topic', `redis://robot:right@127.0.0.1:${plain}?topic=other`, /lacks a permission/, '?topic='),
      notify('no database', `redis://:right@127.0.0.1:${plain}/99`, /the database does not exist/),
      notify('expects TLS', `redis://:right@127.0.0.1:${tls}`, /expects TLS\. Use rediss:\/\//),
      notify('unknown CA', `rediss://:right@127.0.0.1:${tls}`, /unknown authority\. Give/, '?ca=FILE in NOTIFY'),
      notify('wrong CA', `rediss://:right@127.0.0.1:${tls}?ca=${other}`, /authority/, '?ca=FILE in NOTIFY'),
      notify('wrong name', `rediss://:right@localhost:${tls}?ca=${ca}`, /another host name\. Use a host name/),
      notify('no TLS', `rediss://:right@127.0.0.1:${plain}`, /If the port does not speak TLS, use redis:\/\//),
      notify('NATS client', `nats://127.0.0.1:${plain}`, /no NATS server answers there/),
    ];
    expectSpeaking(rows, await reasonsOf(rows));
  });
});

describeWith(['nats-server'], 'a refusal of NATS', () => {
  it('names the address, the option and the next step', async () => {
    const { plain, tls, jetStream } = await brokers.nats();
    const rows = [
      notify('no user', `nats://127.0.0.1:${plain}`, /demands a user and a password, or a token\. Set/),
      notify('wrong password', `nats://robot:wrong@127.0.0.1:${plain}`, /refused the user, password or token/),
      notify('no JetStream', `nats://robot:right@127.0.0.1:${plain}?jetstream=true`, /no JetStream/, '?jetstream=auto'),
      notify('no subject', `nats://robot:right@127.0.0.1:${plain}?topic=forbidden`, /lacks a permission/, '?topic='),
      notify('no stream', `nats://robot:right@127.0.0.1:${jetStream}`, /lacks a permission/, '?topic='),
      notify('no TLS', `tls://robot:right@127.0.0.1:${plain}`, /does not speak TLS\. Use nats:\/\//),
      notify('unknown CA', `tls://127.0.0.1:${tls}`, /unknown authority/, '?ca=FILE in NOTIFY'),
      notify('unknown CA, by itself', `nats://127.0.0.1:${tls}`, /unknown authority/, '?ca=FILE in NOTIFY'),
      notify('wrong name', `tls://localhost:${tls}?ca=${ca}`, /another host name/),
    ];
    expectSpeaking(rows, await reasonsOf(rows));
  });
});

describeWith(['/usr/lib/rabbitmq/bin/rabbitmq-server', 'epmd'], 'a refusal of RabbitMQ', () => {
  it('names the address, the option and the next step', async () => {
    const { plain, tls } = await brokers.rabbitMq();
    const robot = 'amqp://robot:right@127.0.0.1';
    const rows = [
      notify('no user', `amqp://127.0.0.1:${plain}`, /refused the default user guest\. Set/),
      notify('wrong password', `amqp://robot:wrong@127.0.0.1:${plain}`, /refused the user or the password/),
      notify('no virtual host', `${robot}:${plain}/nosuch`, /virtual host does not exist/),
      notify('closed virtual host', `${robot}:${plain}/closed`, /virtual host does not exist, or/),
      notify('no exchange', `${robot}:${plain}?topic=forbidden`, /lacks a permission/, '?topic='),
      notify('expects TLS', `${robot}:${tls}`, /expects TLS\. Use amqps:\/\//),
      notify('no TLS', `amqps://robot:right@127.0.0.1:${plain}`, /does not speak TLS\. Use amqp:\/\//),
      notify('unknown CA', `amqps://robot:right@127.0.0.1:${tls}`, /unknown authority/, '?ca=FILE in NOTIFY'),
      notify('wrong name', `amqps://robot:right@localhost:${tls}?ca=${ca}`, /another host name/),
    ];
    expectSpeaking(rows, await reasonsOf(rows));
  });
});

describeWith(['go'], 'a refusal of Kafka', () => {
  it('names the address, the option and the next step', async () => {
    const { plain, tls, acls } = await brokers.kafka();
    const refusing = await new RefusingKafka().start();
    const plainText = `kafka://robot:wrong@127.0.0.1:${refusing.port}?sasl=plain`;
    const rows = [
      notify('no user', `kafka://127.0.0.1:${plain}?topic=x`, /closed the connection\. Check .*user and the password/),
      notify('wrong password', plainText, /refused the user or the password/),
      notify('no mechanism', `kafka://robot:right@127.0.0.1:${plain}`, /does not support this SASL/, '?sasl='),
      notify('no topic', `kafka://127.0.0.1:${acls}?topic=x`, /may not use the topic/, '?topic='),
      notify('expects TLS', `kafka://127.0.0.1:${tls}`, /expects TLS\. Use kafkas:\/\//),
      notify('no TLS', `kafkas://127.0.0.1:${acls}`, /If the port does not speak TLS, use kafka:\/\//),
      notify('unknown CA', `kafkas://127.0.0.1:${tls}`, /unknown authority/, '?ca=FILE in NOTIFY'),
      notify('wrong name', `kafkas://localhost:${tls}?ca=${ca}`, /another host name/),
    ];
    expectSpeaking(rows, await reasonsOf(rows));
    await refusing.stop();
  });
});

describeWith(['mosquitto', 'mosquitto_passwd'], 'a refusal of an MQTT broker', () => {
  it('names the address, the option and the next step', async () => {
    const { plain, tls, mutual } = await brokers.mosquitto();
    const [host, secure] = [`127.0.0.1:${plain}`, `127.0.0.1:${tls}`];
    const wrong = { MQTT_USERNAME: 'robot', MQTT_PASSWORD: 'wrong' };
    const login = 'MQTT_USERNAME and MQTT_PASSWORD';
    const rows = [
      mqtt('no user', `mqtt://${host}`, /demands a user and a password\. Set/, login),
      mqtt('wrong password', `mqtt://${host}`, /refused the user or the password/, login, wrong),
      mqtt('wrong password in the URL', `mqtt://robot:wrong@${host}`, /refused the user or the password/, login),
      notify('wrong password in NOTIFY', `mqtt://robot:wrong@${host}`, /refused the user or the password/),
      notify('MQTT 5', `mqtt://robot:wrong@${host}?version=5`, /refused the user or the password/),
      notify('no topic', `mqtt://robot:right@${host}?version=5&topic=x`, /may not publish to the topic/, '?topic='),
      mqtt('expects TLS', `mqtt://${secure}`, /expects TLS\. Use mqtts:\/\//),
      mqtt('no TLS', `mqtts://${host}`, /If the port does not speak TLS, use mqtt:\/\//),
      mqtt('unknown CA', `mqtts://${secure}`, /unknown authority\. Give/, 'MQTT_CA_CERT_PATH'),
      mqtt('wrong name', `mqtts://localhost:${tls}`, /another host name/, 'MQTT_URL', { MQTT_CA_CERT_PATH: ca }),
      mqtt('no client certificate', `mqtts://127.0.0.1:${mutual}`, /client certificate/, 'MQTT_CLIENT_CERT_PATH', {
        MQTT_CA_CERT_PATH: ca,
      }),
      mqtt('refused', 'mqtt://127.0.0.1:1', /connection refused/),
      mqtt('unknown', 'mqtt://no-such-host.invalid:7', /unknown host/),
      mqtt('web', `mqtt://127.0.0.1:${portOf(web)}`, /does not speak MQTT/),
      mqtt('silent', `mqtt://127.0.0.1:${portOf(silent)}`, /no answer within the time limit/),
    ];
    expectSpeaking(rows, await reasonsOf(rows));
  });
});
