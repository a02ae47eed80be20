import { Logger } from '@nestjs/common';
import { randomBytes } from 'node:crypto';
import type { IClientOptions } from 'mqtt';
import type { Settings } from '../../config/index.js';
import { ConfigError } from '../../errors.js';
import { percentDecoded } from '../../percent.js';
import { isMqttTopic } from '../../config/index.js';
import {
  addressOf,
  addressOfMqttUrl,
  demandMqttVersion,
  demandPair,
  MQTT_TOPIC_TAKES,
  readPem,
  type BrokerAddress,
  type Target,
  type TlsFiles,
} from '../../broker/index.js';
import type { Notifier } from '../notifier.js';
import { MqttNotifier } from './mqtt-notifier.js';

/** The settings of the notifier of MQTT_URL. */
export type MqttSettings = Pick<
  Settings,
  'mqttUsername' | 'mqttPassword' | 'mqttTopic' | 'mqttCaCertPath' | 'mqttClientCertPath' | 'mqttClientKeyPath'
>;

type Wrong = (got: string, takes: string) => ConfigError;

/** The options in the query of a URL, besides those of every target. */
const OWN = ['client_id', 'version'];
const logger = new Logger('MqttNotifier');
const NO_TOPIC =
  'MQTT_TOPIC is not set: messages go to the topic /DEVICE, and all topics that begin with / are read back. Set MQTT_TOPIC, for example to firmware';

/** Returns the notifier of MQTT_URL and the other MQTT options. Throws ConfigError if a file in them cannot be read. */
export function mqttNotifier(url: string, settings: MqttSettings): Notifier {
  const parsed = new URL(url);
  const wrong: Wrong = (got, takes) =>
    new ConfigError(`MQTT_URL: ${parsed.protocol}//${parsed.host}: got ${got}, expected ${takes}`);
  demandMqttVersion(parsed, wrong);
  for (const option of parsed.searchParams.keys())
    if (!OWN.includes(option)) throw wrong(`the option ${option}`, OWN.join(', '));
  if (settings.mqttTopic === undefined)
    logger.warn({ event: 'notifier.topic_empty', notifier: 'mqtt', reason: NO_TOPIC });
  const username = settings.mqttUsername ?? (percentDecoded(parsed.username) || undefined);
  const address = addressOfMqttUrl(parsed, username !== undefined);
  return made('mqtt', parsed, address, settings.mqttTopic ?? '', {
    username,
    password: settings.mqttPassword ?? (percentDecoded(parsed.password) || undefined),
    ...tlsOf(settings),
  });
}

/** Returns the notifier of an MQTT URL in NOTIFY. */
export function create(target: Target, name: string): Notifier {
  target.demandKnown(...OWN);
  demandMqttVersion(target.url, (got, takes) => target.wrong(got, takes));
  const topic = target.topic(isMqttTopic, MQTT_TOPIC_TAKES);
  const { username, password } = target;
  return made(name, new URL(target.url), addressOf(target), topic, { username, password, ...target.tlsFiles() });
}

interface Access extends Pick<IClientOptions, 'ca' | 'cert' | 'key'> {
  username: string | undefined;
  password: string | undefined;
}

function made(
  name: string,
  url: URL,
  address: BrokerAddress,
  topic: string,
  { username, password, ...tls }: Access,
): Notifier {
  const client: IClientOptions = {
    clientId: url.searchParams.get('client_id') ?? `otaflux-${randomBytes(6).toString('hex')}`,
    protocolVersion: url.searchParams.get('version') === '5' ? 5 : 4,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...tls,
  };
  url.username = url.password = url.search = '';
  return new MqttNotifier({ name, url: url.href, address, topic, client });
}

function tlsOf(settings: MqttSettings): TlsFiles {
  const { mqttCaCertPath: ca, mqttClientCertPath: cert, mqttClientKeyPath: key } = settings;
  const files = {
    ...(ca !== undefined && { ca: readPem('--mqtt-ca-cert-path', ca, 'ca') }),
    ...(cert !== undefined && { cert: readPem('--mqtt-client-cert-path', cert, 'cert') }),
    ...(key !== undefined && { key: readPem('--mqtt-client-key-path', key, 'key') }),
  };
  demandPair('--mqtt-client-cert-path, --mqtt-client-key-path', files);
  return files;
}
