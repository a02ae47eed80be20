import type { BrokerAddress } from './broker-address.js';
import type { Refusal } from './broker-failure.js';

const login = ({ hasLogin, options }: BrokerAddress): string =>
  hasLogin
    ? `the broker refused the user or the password. Correct ${options.login}`
    : `the broker demands a user and a password. Set ${options.login}`;

/** The return codes of CONNACK (MQTT 3.1.1, section 3.2.2.3; MQTT 5.0, section 3.2.2.2) in the words of mqtt.js. */
export const MQTT_REFUSALS: readonly Refusal[] = [
  { says: /Connection refused: (?:Not authorized|Bad user ?name or password)/i, means: login },
  {
    says: /Connection refused: (?:Unacceptable protocol version|Unsupported Protocol Version)/i,
    means: ({ options }) =>
      `the broker does not accept this version of MQTT. Use ?version=5 in ${options.url}, or leave it out`,
  },
  {
    says: /Connection refused: (?:Identifier rejected|Client Identifier not valid)/i,
    means: ({ options }) => `the broker refused the client id. Set ?client_id= in ${options.url}`,
  },
  {
    says: /Connection refused: (?:Server unavailable|Server busy|Server shutting down|Quota exceeded|Connection rate)/i,
    means: () => 'the broker accepts no connection now. Check its log',
  },
  {
    says: /Connection refused: Banned/i,
    means: () => 'the broker has banned this client. Remove the ban in the broker',
  },
  {
    says: /Publish error: Not authorized|Publish error: .*Topic Name invalid/i,
    means: ({ options }) => `the user may not publish to the topic. Allow it to write below ${options.topic}`,
  },
  {
    says: /Publish error: Quota exceeded/i,
    means: () => 'the broker has reached a limit for messages. Raise it in the broker',
  },
  {
    says: /header flag|^Error - - (?:Invalid|Cannot parse|Malformed|Unknown|Packet|Unexpected server response)/i,
    means: ({ options }) => `the server does not speak MQTT. Check the host and port in ${options.url}`,
  },
];
