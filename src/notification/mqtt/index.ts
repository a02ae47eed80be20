import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IClientOptions } from 'mqtt';
import type { Settings } from '../../config/index.js';
import { ConfigError, reasonOf } from '../../errors.js';
import type { Notifier } from '../notifier.js';
import { MqttNotifier } from './mqtt-notifier.js';

/** What the notifier is made from. */
export type MqttSettings = Pick<
  Settings,
  | 'mqttUrl'
  | 'mqttUsername'
  | 'mqttPassword'
  | 'mqttTopic'
  | 'mqttCaCertPath'
  | 'mqttClientCertPath'
  | 'mqttClientKeyPath'
>;

/** The notifier that `settings` ask for; throws ConfigError when a file that they name cannot be read. */
export function mqttNotifier(url: string, settings: MqttSettings): Notifier {
  const parsed = new URL(url);
  const clientId = parsed.searchParams.get('client_id') ?? `otaflux-${randomBytes(6).toString('hex')}`;
  const username = settings.mqttUsername ?? (decodeURIComponent(parsed.username) || undefined);
  const password = settings.mqttPassword ?? (decodeURIComponent(parsed.password) || undefined);
  const client: IClientOptions = {
    clientId,
    protocolVersion: parsed.searchParams.get('version') === '5' ? 5 : 4,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...tlsOf(settings),
  };
  parsed.username = parsed.password = parsed.search = '';
  return new MqttNotifier({ url: parsed.href, topic: settings.mqttTopic ?? '', client });
}

function tlsOf(settings: MqttSettings): Pick<IClientOptions, 'ca' | 'cert' | 'key'> {
  const { mqttCaCertPath: ca, mqttClientCertPath: cert, mqttClientKeyPath: key } = settings;
  if (ca === undefined || cert === undefined || key === undefined) return {};
  return {
    ca: read('--mqtt-ca-cert-path', ca),
    cert: read('--mqtt-client-cert-path', cert),
    key: read('--mqtt-client-key-path', key),
  };
}

function read(flag: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new ConfigError(`${flag}: cannot read ${JSON.stringify(path)}: ${reasonOf(error)}`);
  }
}
