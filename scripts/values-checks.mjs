/**
 * Makes helm/otaflux/files/checks.json: what the templates of the chart check themselves, because a sentence helps more
 * here than the pattern that the schema would print. The patterns and the expectations come from the option table, those
 * of receivers from the table below. test/full/helm-checks.e2e-spec.ts compares the verdicts with those of the server.
 */

/** Values of the chart that newcomers get wrong, and the options that they set. The schema checks only their types. */
export const CHECKED = {
  'otaflux.registry.url': 'REGISTRY_URL',
  'otaflux.registryUrl': 'REGISTRY_URL',
  'otaflux.webhookSecret': 'WEBHOOK_SECRET',
  'otaflux.managementToken': 'MANAGEMENT_TOKEN',
  'otaflux.notifySecret': 'NOTIFY_SECRET',
  'otaflux.mqtt.url': 'MQTT_URL',
  'otaflux.redis.url': 'REDIS_URL',
  'otaflux.notify': 'NOTIFY',
  'otaflux.events': 'EVENTS',
};

/** Whether an option is a duration. In otaflux.config, its type is all that the schema checks. */
export const isDuration = ({ kind }) => kind.placeholder === 'duration';

const COMMON = ['topic', 'name', 'ca', 'cert', 'key'];
const MQTT = {
  options: [...COMMON, 'client_id', 'version'],
  topic: { pattern: '^[^$+#][^+#]*$', takes: 'a topic without + and #, such as firmware/releases' },
};
const WEB_SOCKET = { ...MQTT, choices: { version: ['4', '5'] } };
const PLAIN_MQTT = { ...WEB_SOCKET, path: { pattern: '^/?$', takes: 'no path; the topic is an option' } };
const REDIS = {
  options: COMMON,
  topic: { pattern: '^\\S+$', takes: 'a text without spaces, such as firmware:releases' },
  path: { pattern: '^/?[0-9]*$', takes: 'the number of a database, such as /2' },
};
const NATS = {
  options: [...COMMON, 'jetstream', 'stream'],
  topic: {
    pattern: '^[^\\s.*>$/][^\\s.*>/]*(?:[./][^\\s.*>/]+)*$',
    takes: 'a subject without spaces, * and >, such as firmware.releases',
  },
  choices: { jetstream: ['auto', 'true', 'false'] },
};
const AMQP = {
  options: [...COMMON, 'heartbeat'],
  topic: {
    pattern: '^[\\s\\S]{1,255}$',
    not: '^amq\\.',
    takes: 'the name of an exchange, such as firmware.releases',
  },
};
const KAFKA = {
  options: [...COMMON, 'sasl'],
  topic: {
    pattern: '^[A-Za-z0-9._/-]{1,249}$',
    not: '^[./]{1,2}$',
    takes: 'a topic of letters, digits, ., _ and -, such as firmware.releases',
  },
  choices: { sasl: ['scram-sha-512', 'scram-sha-256', 'plain'] },
};
const HTTP = { options: [...COMMON, 'format'], behindHash: true, choices: { format: ['cloudevents', 'slack'] } };

const RECEIVERS = {
  ...{
    mqtt: PLAIN_MQTT,
    mqtts: PLAIN_MQTT,
    ws: WEB_SOCKET,
    wss: WEB_SOCKET,
    redis: REDIS,
    rediss: REDIS,
    nats: NATS,
    tls: NATS,
  },
  ...{ amqp: AMQP, amqps: AMQP, kafka: KAFKA, kafkas: KAFKA, http: HTTP, https: HTTP },
};

/** @param table the option table: `variables`, `optionOf(variable)`, `flagOf(variable)` */
export function valuesChecks({ variables, optionOf, flagOf }) {
  const check = (variable) => {
    const { kind, secret = false } = optionOf(variable);
    const { pattern, not, items, minItems } = kind.json;
    return { takes: kind.takes, secret, pattern, not: not?.pattern, items: items?.pattern, minItems };
  };
  const values = Object.fromEntries(Object.entries(CHECKED).map(([path, variable]) => [path, check(variable)]));
  const durations = variables.filter((variable) => isDuration(optionOf(variable)));
  const config = Object.fromEntries(
    durations.map((variable) => [flagOf(variable).replaceAll('-', ''), check(variable)]),
  );
  return `${JSON.stringify({ values, config, receivers: RECEIVERS }, null, 2)}\n`;
}
