import { expect, it } from '@jest/globals';
import { parseOption, parseSettings, type GivenValues, type Variable } from '../../src/config/index.js';
import { builtInNotifiers } from '../../src/notification/adapters.js';
import { render } from '../support/chart.js';
import { describeWith } from '../support/real-server.js';

type Values = Record<string, unknown>;
const pem = (label: string): string => `-----BEGIN ${label}-----\nMFkw\n-----END ${label}-----\n`;

/** What Helm prints for `values`; empty if it renders them. */
const refusal = (values: Values): string => {
  try {
    render(values);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
};

const serverTakes = async (environment: Partial<Record<Variable, string>>): Promise<boolean> => {
  const given: GivenValues = Object.fromEntries(
    Object.entries({ REGISTRY_URL: 'https://r', ...environment }).map(([name, value]) => [
      name,
      { value, where: name },
    ]),
  );
  try {
    for (const notifier of await builtInNotifiers(parseSettings(given))) await notifier.close();
    return true;
  } catch {
    return false;
  }
};

describeWith(['helm'], 'the templates of the chart', () => {
  it.each<[string, RegExp]>([
    ['redis://h?bad=1', /the option bad, expected topic, name, ca, cert, key/],
    ['redis://h/two', /the number of a database/],
    ['redis://h?topic=a%20b', /a text without spaces/],
    ['mqtt://h:99999', /its port/],
    ['mqtt://h?topic=a%23b', /^$/],
    ['mqtt://h?topic=$SYS', /a topic without/],
    ['nats://h?topic=a b', /a subject without spaces/],
    ['nats://h?topic=a..b', /a subject without spaces/],
    ['nats://h?jetstream=maybe', /expected jetstream=auto, jetstream=true, jetstream=false/],
    ['tls://h?cert=/x', /both/],
    ['https://h#format=xml', /expected format=cloudevents, format=slack/],
    ['https://h#nmae=x', /the option nmae/],
    ['https://h#name=a b', /a name of letters/],
    ['amqp://h?topic=amq.x', /the name of an exchange/],
    ['kafka://h?topic=a b', /a topic of letters/],
    ['kafka://h?topic=..', /a topic of letters/],
    ['kafka://u:p@h?sasl=none', /expected sasl=scram-sha-512/],
    ['mqtt://h/path?topic=a', /expected no path/],
    ['mqtts://h?topic=a&version=9', /expected version=4/],
  ])('refuse a receiver that the server refuses: %s', async (url, sentence) => {
    expect(await serverTakes({ NOTIFY: url })).toBe(false);
    const told = refusal({ 'otaflux.notify': ['https://first', url] });
    // Only the server decodes the rest of an encoded topic.
    if (sentence.source === '^$') return;
    expect(told).toMatch(/otaflux\.notify\[1\] \([a-z]+\): .*expected /);
    expect(told).toMatch(sentence);
  });

  it.each([
    ['mqtt://u:p%40@h:1883?topic=a/b&client_id=x&version=5&name=m', {}],
    ['ws://h/mqtt?topic=a', {}],
    ['redis://:p@h:6379/2?topic=a:b', {}],
    ['nats://token@a:4222,b?topic=a/b.c&jetstream=auto&stream=s', {}],
    ['amqp://u:p@h/vhost?topic=a&heartbeat=10', {}],
    ['kafka://a,b:9093?topic=fw/x', {}],
    ['https://h/x?a=1&b=/c#format=slack&name=x', {}],
    ['https://[::1]:8443/x', {}],
    ['http://h?topic=amq.x&format=xml', {}],
    ['rediss://h', { 'otaflux.mqtt.topic': 'firmware/releases' }],
  ])('take a receiver that the server takes: %s', async (url, values) => {
    expect(await serverTakes({ NOTIFY: url })).toBe(true);
    expect(refusal({ ...values, 'otaflux.notify': [url] })).toBe('');
    expect(refusal({ ...values, 'otaflux.notify': url })).toBe('');
  });

  it('print no password of a receiver', () => {
    for (const url of [
      'redis://u:hunter2@h:99999',
      'redis://u:hu?nter2@h',
      'redis://u:/hunter2@h',
      'mqtt://hunter2@h?x=1',
    ])
      expect({ url, told: refusal({ 'otaflux.notify': [url] }) }).toEqual({
        url,
        told: expect.not.stringMatching(/hunter2|nter2/),
      });
  });

  it.each<[string, Variable, unknown[], unknown[]]>([
    [
      'otaflux.config.refresh-interval',
      'REFRESH_INTERVAL',
      ['30s', '0', 0, '1h30m'],
      [30, 0.5, '30', '1 minute', '400d', '-5s'],
    ],
    ['otaflux.config.registryTimeout', 'REGISTRY_TIMEOUT', ['1m'], [60, '60']],
    ['otaflux.registry.url', 'REGISTRY_URL', ['r:5000/x', 'oci:/d'], ['ftp://r', 'https://', 'https://r:70000', '/r']],
    ['otaflux.mqtt.url', 'MQTT_URL', ['mqtts://u:p@b'], ['http://b', 'mqtt://', 'mqtt://b:70000', 'b:1883']],
    [
      'otaflux.webhookSecret',
      'WEBHOOK_SECRET',
      ['a-long-webhook-secret', 'a-long-webhook-secret,another-webhook-secret'],
      ['short', 'a-long-webhook-secret,short'],
    ],
    [
      'otaflux.managementToken',
      'MANAGEMENT_TOKEN',
      ['a-long-management-token'],
      ['short', 'has a space in the middle'],
    ],
    ['otaflux.notifySecret', 'NOTIFY_SECRET', ['a-long-signing-secret'], ['short']],
    ['otaflux.notify', 'NOTIFY', [['redis://h']], [['smtp://h'], ['redis://h', 'x']]],
    ['otaflux.events', 'EVENTS', [['nats://h']], [['http://h'], ['nats://h', 'x']]],
  ])('say of %s what %s expects', (path, variable, right, wrong) => {
    const takes = (value: unknown): boolean => {
      try {
        parseOption(variable, { [variable]: { value, where: variable } });
        return true;
      } catch {
        return false;
      }
    };
    for (const value of right)
      expect({ value, server: takes(value), told: refusal({ [path]: value }) }).toEqual({
        value,
        server: true,
        told: '',
      });
    for (const value of wrong)
      expect({ value, server: takes(value), told: refusal({ [path]: value }) }).toEqual({
        value,
        server: false,
        told: expect.stringMatching(new RegExp(`${path}: got .*, expected `)),
      });
  });

  it('say that a duration needs a unit', () => {
    expect(refusal({ 'otaflux.config.refresh-interval': 30 })).toMatch(/got 30, expected a duration .*"30s"/);
  });

  it.each<[string, string, string[]]>([
    ['otaflux.cosignPubKey', 'PUBLIC KEY', ['garbage', '/keys/cosign.pub', pem('PRIVATE KEY'), pem('CERTIFICATE')]],
    ['otaflux.registry.caCert', 'CERTIFICATE', ['garbage', pem('PUBLIC KEY'), '-----BEGIN CERTIFICATE-----\nMFkw']],
    ['otaflux.mqtt.caCert', 'CERTIFICATE', ['garbage', pem('EC PRIVATE KEY')]],
    ['otaflux.mqtt.clientCert', 'CERTIFICATE', ['garbage', pem('PRIVATE KEY')]],
    [
      'otaflux.mqtt.clientKey',
      'EC PRIVATE KEY',
      ['garbage', pem('CERTIFICATE'), pem('ENCRYPTED PRIVATE KEY'), pem('OPENSSH PRIVATE KEY')],
    ],
  ])('refuse %s without a block of its kind, and never print it', (path, label, wrong) => {
    const other = path.endsWith('clientKey') ? 'otaflux.mqtt.clientCert' : 'otaflux.mqtt.clientKey';
    const pair = path.includes('client') ? { [other]: pem(other.endsWith('Key') ? 'PRIVATE KEY' : 'CERTIFICATE') } : {};
    expect(refusal({ ...pair, [path]: `comment\n${pem(label)}${pem(label)}` })).toBe('');
    for (const text of wrong) {
      const told = refusal({ ...pair, [path]: text });
      expect(told).toMatch(new RegExp(`${path} .*expected .* in PEM text`));
      expect(told).not.toContain('MFkw');
    }
  });

  it.each<[Values, string]>([
    [{ 'tls-cert-path': '/x' }, 'otaflux.config.tls-key-path is not'],
    [{ TLS_KEY_PATH: '/x' }, 'otaflux.config.tls-cert-path is not'],
    [{ tlsClientCaPath: '/x' }, 'Set otaflux.tls.existingSecret'],
    [{ 'tls-device-map': '/x' }, 'Set otaflux.tls.clientCertificates'],
    [{ 'mqtt-client-cert-path': '/x' }, 'otaflux.config.mqtt-client-key-path is not'],
    [{ 'mqtt-client-key-path': '/x' }, 'otaflux.config.mqtt-client-cert-path is not'],
  ])('refuse otaflux.config %j alone', (config, sentence) => {
    expect(refusal({ 'otaflux.config': config })).toContain(sentence);
    expect(refusal({ 'otaflux.config': config, 'otaflux.existingSecret': 'with-the-rest' })).toBe('');
  });

  it('demand of otaflux.config.production what they demand of otaflux.production', () => {
    expect(refusal({ 'otaflux.config': { PRODUCTION: 'yes' } })).toContain(
      'a webhook secret: set otaflux.webhookSecret',
    );
    expect(refusal({ 'otaflux.config': { production: false } })).toBe('');
  });

  const whole = {
    'otaflux.production': true,
    'otaflux.signing.existingSecret': 'keys',
    'otaflux.webhookSecret': 'a-long-webhook-secret',
    'otaflux.managementToken': 'a-long-management-token',
    'otaflux.trustProxy': ['10.0.0.0/8'],
  };
  const EXEMPT = [
    { match: 'a', keys: '/k' },
    { match: '**', required: false },
  ];
  it.each<[Values, string]>([
    [{ 'otaflux.signing.policy': EXEMPT }, 'rule 2 of the policy ("**") has required: false'],
    [{ 'otaflux.config': { 'signature-policy': JSON.stringify(EXEMPT) } }, 'rule 2 of the policy'],
    [{ 'otaflux.trustProxy': ['0.0.0.0/0'] }, 'otaflux.trustProxy contains 0.0.0.0/0'],
    [
      { 'otaflux.signing.identityRegexp': '^.*$', 'otaflux.signing.issuer': 'i' },
      'otaflux.signing.identityRegexp is "^.*$"',
    ],
  ])('refuse in production %j', (values, sentence) => {
    expect(refusal(whole)).toBe('');
    expect(refusal({ ...whole, ...values })).toContain(sentence);
    expect(refusal({ ...whole, ...values, 'otaflux.production': false })).toBe('');
  });
});
