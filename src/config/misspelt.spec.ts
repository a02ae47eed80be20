import { describe, expect, it } from '@jest/globals';
import { misspeltVariables, VARIABLES } from './index.js';

describe('a variable that is no option', () => {
  it.each([
    ['REFRESH_INTERVALL', 'REFRESH_INTERVAL'],
    ['REFRESH_INTERVAL_MS', 'REFRESH_INTERVAL'],
    ['refresh_interval', 'REFRESH_INTERVAL'],
    ['COSIGN_PUBKEY_PATH', 'COSIGN_PUB_KEY_PATH'],
    ['COSIGN_PUBLIC_KEY', 'COSIGN_PUB_KEY'],
    ['REGISTRY_USER', 'REGISTRY_USERNAME'],
    ['REGISTRY_PASSWORT', 'REGISTRY_PASSWORD'],
    ['REGISTRY_PASSWORD_FILES', 'REGISTRY_PASSWORD_FILE'],
    ['LISTEN_ADDRESS', 'LISTEN_ADDR'],
    ['TRUST_PROXIES', 'TRUST_PROXY'],
    ['MAX_DOWNLOAD', 'MAX_DOWNLOADS'],
    ['TLS_CERT', 'TLS_CERT_PATH'],
    ['OTAFLUX_REGISTRY_URL', 'REGISTRY_URL'],
    ['OTAFLUX_WATCH', 'WATCH'],
    ['OTAFLUX_LOGLEVEL', 'LOG_LEVEL'],
    ['REGISTRY_ULR', 'REGISTRY_URL'],
    ['MQTT_BROKER_URL', 'MQTT_URL'],
    ['NOTIFY_URL', 'NOTIFY'],
    ['WEBHOOK_TOKEN', 'WEBHOOK_SECRET'],
  ])('%s was meant to be %s', (variable, meant) => {
    expect(misspeltVariables({ [variable]: 'x' })).toEqual([{ variable, meant }]);
  });

  it.each([
    // Of other programs.
    ...[
      'REGISTRY_HOST',
      'REGISTRY_HTTP_ADDR',
      'REGISTRY_DIR',
      'REGISTRY_UI',
      'CACHE_FILE',
      'LOG_STYLE',
      'REGISTRY_STORAGE_DELETE_ENABLED',
      'MQTT_HOST',
      'REDIS_URL',
    ],
    ...[
      'PATH',
      'HOME',
      'LANG',
      'LS_COLORS',
      'NODE_ENV',
      'HOSTNAME',
      'SHELL',
      'NO_COLOR',
      'TMPDIR',
      'WATCHER',
      'PLUGINS',
    ],
    ...[
      'LOG_DIR',
      'LOG_FILE',
      'CACHE_HOME',
      'XDG_CACHE_HOME',
      'STATE',
      'HTTP_PROXY',
      'NO_PROXY',
      'NODE_EXTRA_CA_CERTS',
    ],
    ...[
      'OTEL_EXPORTER_OTLP_ENDPOINT',
      'KUBERNETES_SERVICE_HOST',
      'GITHUB_TOKEN',
      'npm_config_registry',
      'DEVICE',
      'CONFIG',
    ],
    // What Kubernetes sets for Services named registry, otaflux, mqtt-url, watch and notify.
    ...['REGISTRY_SERVICE_HOST', 'REGISTRY_SERVICE_PORT', 'REGISTRY_PORT', 'REGISTRY_PORT_5000_TCP_ADDR'],
    ...['OTAFLUX_SERVICE_HOST', 'OTAFLUX_PORT_8080_TCP', 'OTAFLUX_SERVICE_PORT_HTTP', 'MQTT_URL_SERVICE_HOST'],
    ...['WATCH_SERVICE_HOST', 'NOTIFY_PORT'],
    // Options themselves.
    ...[...VARIABLES, 'REGISTRY_PASSWORD_FILE'],
  ])('%s is not taken for a mistake', (variable) => {
    expect(misspeltVariables({ [variable]: 'x' })).toEqual([]);
  });

  it('is not named when it is empty, or when the option is given as well', () => {
    expect(misspeltVariables({ REFRESH_INTERVALL: '' })).toEqual([]);
    expect(misspeltVariables({ REGISTRY_USER: 'x', REGISTRY_USERNAME: 'y' })).toEqual([]);
  });
});
