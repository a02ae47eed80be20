import type { Target } from './target.js';

/** Where a receiver is, and which options say so: for messages about failures. */
export interface BrokerAddress {
  /** Scheme, host and port, without user, password and query, which may be secrets. */
  readonly shown: string;
  readonly hostname: string;
  readonly port: string;
  readonly usesTls: boolean;
  /** The schemes with and without TLS, such as `mqtts://` and `mqtt://`. */
  readonly schemes: { readonly tls: string; readonly plain: string };
  /** Whether the options contain a user or a password. */
  readonly hasLogin: boolean;
  readonly options: OptionNames;
}

/** The names of the options, as messages have them. */
export interface OptionNames {
  /** Of the URL. */
  readonly url: string;
  /** Of user and password. */
  readonly login: string;
  readonly topic: string;
  /** Of the authority of the server. */
  readonly ca: string;
  /** Of the client certificate and its key. */
  readonly certificate: string;
}

const PORTS: Readonly<Record<string, string>> = {
  mqtt: '1883',
  mqtts: '8883',
  ws: '80',
  wss: '443',
  redis: '6379',
  rediss: '6379',
  'redis+sentinel': '26379',
  'rediss+sentinel': '26379',
  'redis+cluster': '6379',
  'rediss+cluster': '6379',
  nats: '4222',
  tls: '4222',
  amqp: '5672',
  amqps: '5671',
  kafka: '9092',
  kafkas: '9092',
  http: '80',
  https: '443',
};
/** Schemes for TLS, by those without. */
const TLS_SCHEMES: Readonly<Record<string, string>> = {
  mqtt: 'mqtts',
  ws: 'wss',
  redis: 'rediss',
  'redis+sentinel': 'rediss+sentinel',
  'redis+cluster': 'rediss+cluster',
  nats: 'tls',
  amqp: 'amqps',
  kafka: 'kafkas',
  http: 'https',
};

const MQTT_OPTIONS: OptionNames = {
  url: 'MQTT_URL',
  login: 'MQTT_USERNAME and MQTT_PASSWORD',
  topic: 'MQTT_TOPIC',
  ca: 'MQTT_CA_CERT_PATH',
  certificate: 'MQTT_CLIENT_CERT_PATH and MQTT_CLIENT_KEY_PATH',
};

/** Returns the address in MQTT_URL. */
export function addressOfMqttUrl(url: URL, hasLogin: boolean): BrokerAddress {
  return { ...placeOf(url, undefined), hasLogin, options: MQTT_OPTIONS };
}

/** Returns the address of a URL in NOTIFY or EVENTS. */
export function addressOf(target: Target): BrokerAddress {
  const mark = target.optionsBehindHash ? '#' : '?';
  return {
    ...placeOf(target.url, target.option('hosts')),
    hasLogin: target.username !== undefined || target.password !== undefined,
    options: {
      url: target.variable,
      login: `the user and the password in the URL of ${target.variable} (${target.scheme}://USER:PASSWORD@HOST)`,
      topic: `${mark}topic= in ${target.variable}`,
      ca: `${mark}ca=FILE in ${target.variable}`,
      certificate: `${mark}cert=FILE&key=FILE in ${target.variable}`,
    },
  };
}

/** @param hosts all hosts, separated by commas, if there are several */
function placeOf(url: URL, hosts: string | undefined): Omit<BrokerAddress, 'hasLogin' | 'options'> {
  const scheme = url.protocol.slice(0, -1);
  const standard = PORTS[scheme] ?? '';
  const plain = Object.keys(TLS_SCHEMES).find((name) => TLS_SCHEMES[name] === scheme) ?? scheme;
  const tls = TLS_SCHEMES[plain] ?? scheme;
  const withPort = (host: string): string => (/:\d+$/.test(host) ? host : `${host}:${standard}`);
  return {
    shown: `${scheme}://${(hosts ?? url.host).split(',').map(withPort).join(',')}`,
    hostname: url.hostname,
    port: url.port || standard,
    usesTls: scheme === tls,
    schemes: { tls: `${tls}://`, plain: `${plain}://` },
  };
}
