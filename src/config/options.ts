// First, so that declaration files name these types directly: what the public interface names must be exported from it.
import type { Kind, ListenAddress, Rate, RegistryLocation } from './kinds.js';
import * as kinds from './kinds.js';
import { signaturePolicy } from './signature-policy.js';

/** What is known of one option. The rest (flag, file key, setting name) follows from its variable. */
export interface Option<T = unknown> {
  readonly kind: Kind<T>;
  /** In sentences for `--help` and the documentation. */
  readonly help: string;
  /** As a user would write it. Without one the setting may be undefined. */
  readonly default?: string;
  readonly required?: true;
  /** Never printed, and may come from a file: `X_FILE` beside `X`. */
  readonly secret?: true;
  /** The heading in the documentation; it holds for the options that follow, too. */
  readonly section?: string;
}

/** An option of the table: `T` is the type of its value, `D` is `undefined` when it has no default. */
export interface TypedOption<T, D extends string | undefined> extends Option<T> {
  readonly defaulted: D;
}

type Rest = Omit<Option, 'kind' | 'default'>;

function option<T>(kind: Kind<T>, rest: Rest & ({ default: string } | { required: true })): TypedOption<T, string>;
function option<T>(kind: Kind<T>, rest: Rest): TypedOption<T, undefined>;
function option<T>(kind: Kind<T>, rest: Rest & { default?: string }): TypedOption<T, string | undefined> {
  return { kind, ...rest, defaulted: rest.default };
}

/** What `/version` may hold in line 2: CRC-32 as zlib computes it, or what an STM32 (mpeg2) or other hardware computes. */
export const CHECKSUMS = [
  'crc32',
  'crc32c',
  'crc32mpeg2',
  'crcjam',
  'crc24',
  'crc16',
  'crc16ccitt',
  'crc16kermit',
  'crc16modbus',
  'crc16xmodem',
  'crc8',
  'crc81wire',
  'crc8dvbs2',
] as const;
export type Checksum = (typeof CHECKSUMS)[number];

/** What NOTIFY speaks, by the scheme of a URL. */
export const NOTIFY_SCHEMES = [
  ...['mqtt', 'mqtts', 'ws', 'wss', 'redis', 'rediss', 'nats', 'tls'],
  ...['amqp', 'amqps', 'kafka', 'kafkas', 'http', 'https'],
] as const;

/** The one option table: flags, variables, file keys, `--help` and docs/configuration.md come from it. */
export const OPTIONS = {
  REGISTRY_URL: option<RegistryLocation>(kinds.registryUrl, {
    section: 'Registry',
    required: true,
    help: 'Where firmware is pushed to. A path stands before every repository. `oci:DIR` is a folder with one OCI image layout per repository.',
  }),
  REPOSITORY_PREFIX: option(kinds.repositoryPrefix, {
    default: '',
    help: 'Stands before the device id in the repository name; a slash at its end is optional.',
  }),
  REGISTRY_USERNAME: option(kinds.text, { help: 'User or robot account. Anonymous without it.' }),
  REGISTRY_PASSWORD: option(kinds.text, { secret: true, help: 'Password or access token of that user.' }),
  REGISTRY_AUTH_FILE: option(kinds.path, {
    help: 'A docker or podman `config.json` with the credentials; used when no user is set. Credential helpers are not run.',
  }),
  REGISTRY_INSECURE: option(kinds.boolean, { default: 'false', help: 'Use http for a REGISTRY_URL without scheme.' }),
  REGISTRY_CA_CERT_PATH: option(kinds.path, {
    help: 'PEM file with certificate authorities to trust for the registry, beside those of the system.',
  }),
  REGISTRY_TIMEOUT: option(kinds.duration, {
    default: '30s',
    help: 'How long one question to the registry may take, retries included, and how long a download may stand still.',
  }),

  REFRESH_INTERVAL: option(kinds.duration, {
    section: 'Releases',
    default: '30s',
    help: 'How long a release is answered without asking the registry again; afterwards it is answered at once and refreshed in the background. 0 asks every time.',
  }),
  MAX_STALE: option(kinds.duration, {
    help: 'How long the last good release is served while the registry is down. No limit without it.',
  }),
  WATCH: option(kinds.deviceGlobs, {
    help: 'Devices to keep fresh though nobody asks for them: ids, globs, or `all` that the registry lists. Their changes are told without a webhook.',
  }),
  MIN_VERSION: option(kinds.version, {
    help: 'Older versions are never served, signed or not: what an attacker could roll back to.',
  }),
  PRERELEASES: option(kinds.boolean, { default: 'true', help: 'Whether versions such as 2.0.0-rc.1 are served.' }),
  FIRMWARE_FILE: option(kinds.text, {
    help: 'Which file is the firmware, where an artifact holds several: the title of a layer, or a path in a tar layer.',
  }),
  MAX_FIRMWARE_SIZE: option(kinds.size, {
    default: '4GiB',
    help: 'Versions with larger firmware, packed or unpacked, are passed over; `push` refuses it.',
  }),
  CHECKSUM: option(kinds.choice(CHECKSUMS), {
    default: 'crc32',
    help: 'Which CRC stands in line 2 of `/version`; crc32mpeg2 is what the CRC unit of an STM32 computes.',
  }),

  COSIGN_PUB_KEY_PATH: option(kinds.list, {
    section: 'Signatures',
    help: 'Public keys, one of which must have signed a release: PEM files, or folders of them, read again when they change. Without a key, an identity or a policy nothing is verified.',
  }),
  COSIGN_PUB_KEY: option(kinds.text, { help: 'Public keys as PEM text, beside those in files.' }),
  COSIGN_MATCH_REFERENCE: option(kinds.boolean, {
    default: 'false',
    help: 'Demand that a legacy signature names this registry and repository (`docker-reference`).',
  }),
  COSIGN_CERTIFICATE_IDENTITY: option(kinds.text, {
    help: 'Keyless: the identity in the certificate, such as a workflow URL or a mail address.',
  }),
  COSIGN_CERTIFICATE_IDENTITY_REGEXP: option(kinds.pattern, {
    help: 'Keyless: the same as a regular expression; it may match a part, so anchor it by ^ and $.',
  }),
  COSIGN_CERTIFICATE_OIDC_ISSUER: option(kinds.text, {
    help: 'Keyless: who vouched for the identity, such as https://token.actions.githubusercontent.com.',
  }),
  COSIGN_CERTIFICATE_OIDC_ISSUER_REGEXP: option(kinds.pattern, {
    help: 'Keyless: the same as a regular expression.',
  }),
  COSIGN_INSECURE_IGNORE_TLOG: option(kinds.boolean, {
    default: 'false',
    help: 'Keyless: do without the transparency log, in a private deployment that has none.',
  }),
  COSIGN_INSECURE_IGNORE_SCT: option(kinds.boolean, {
    default: 'false',
    help: 'Keyless: do without the certificate transparency log, in a private deployment that has none.',
  }),
  SIGSTORE_TRUSTED_ROOT_PATH: option(kinds.path, {
    help: 'Keyless: a `trusted_root.json`, read again when it changes. Without it that of the public Sigstore instance is fetched by TUF.',
  }),
  SIGSTORE_CACHE_DIR: option(kinds.path, {
    help: 'Keyless: a folder that keeps what TUF fetched, so that a start without the internet works. A temporary one without it.',
  }),
  SIGNATURE_POLICY: option(signaturePolicy, {
    help: 'Who must have signed for which device: a list of `match` (a glob of device ids) with `keys`, or `identity` and `issuer` (or their `-regexp`), or `required: false`. The first match decides; a device that none matches is judged by the options above, and refused when there are none.',
  }),
  SIGNED_VERSION: option(kinds.choice(['check', 'require', 'ignore']), {
    default: 'check',
    help: 'A tag is not signed. `check`: where a signed manifest states a semantic version (annotation `org.opencontainers.image.version`), it must be that of the tag. `require`: it must state one. `ignore`: whoever can push may give an old signed manifest a new tag.',
  }),
  MAX_UNVERIFIED: option(kinds.integer(1, 10_000), {
    default: '20',
    help: 'How many versions without a good signature one refresh passes over before it stops looking.',
  }),

  CACHE_SIZE: option(kinds.integer(0, 1_000_000), {
    section: 'Cache',
    default: '100',
    help: 'How many firmware images are kept in memory.',
  }),
  CACHE_MEMORY: option(kinds.size, { default: '512MiB', help: 'How many bytes of firmware are kept in memory.' }),
  CACHE_DIR: option(kinds.path, {
    help: 'A folder that keeps firmware across restarts, and what the registry said of it: known devices are then served after a start while the registry is away.',
  }),
  CACHE_DISK: option(kinds.size, { default: '10GiB', help: 'How many bytes of firmware are kept in CACHE_DIR.' }),

  LISTEN_ADDR: option<ListenAddress>(kinds.listenAddress, {
    section: 'Server',
    default: '0.0.0.0:8080',
    help: 'Where devices, webhooks and probes are answered.',
  }),
  METRICS_LISTEN_ADDR: option<ListenAddress>(kinds.listenAddress, {
    default: '127.0.0.1:9090',
    help: 'Address of the management port: `/metrics`, `/status`, `/notify` and probes. By default only this machine can reach it. The container image and the Helm chart set `0.0.0.0:9090`.',
  }),
  MANAGEMENT_TOKEN: option<string[]>(kinds.bearerTokens, {
    secret: true,
    help: 'Token that `GET /status` and `POST /notify` require as `Authorization: Bearer TOKEN`. Several tokens allow rotation. Without a token, everyone who can reach the management port can use them. `/metrics` and probes need no token.',
  }),
  PRODUCTION: option(kinds.boolean, {
    default: 'false',
    help: 'Refuse to start without signature verification, a webhook secret, TLS or a proxy in front, and a protected management port. The error lists everything that is missing.',
  }),
  METRICS_DEVICES: option(kinds.integer(0, 10_000), {
    default: '1000',
    help: 'Number of devices that have series of their own in `/metrics`: those that are asked for most. `http_requests_total` counts all devices.',
  }),
  TLS_CERT_PATH: option(kinds.path, {
    help: 'PEM file with the certificate of the device port, its chain behind it; read again when it changes. TLS 1.2 and 1.3.',
  }),
  TLS_KEY_PATH: option(kinds.path, { help: 'PEM file with its key. Both files are given, or none.' }),
  TLS_CLIENT_CA_PATH: option(kinds.path, {
    help: 'PEM file with the authorities of device certificates. The device port then demands one, whose common name or alternative name is the device that it asks for.',
  }),
  TLS_DEVICE_MAP: option(kinds.path, {
    help: 'YAML file that lets certificates speak for other devices: a map of certificate names to ids or globs; read again when it changes.',
  }),
  SHUTDOWN_GRACE: option(kinds.duration, {
    default: '30s',
    help: 'How long downloads may go on after SIGTERM, and notices wait for their receiver; a second signal ends at once.',
  }),
  PLUGIN: option(kinds.list, {
    help: 'Modules with parts of your own (registry, notifiers, webhook sources, device protocols and authenticators, verifier): paths, or names of packages; see docs/extending.md.',
  }),
  LOG_LEVEL: option(kinds.choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal']), {
    default: 'info',
    help: 'The least severe messages that are logged.',
  }),
  ACCESS_LOG: option(kinds.fraction, {
    default: '0',
    help: 'Which part of device requests is logged (event `device.request`): 1 for all, 0.01 for one in a hundred.',
  }),
  LOG_FORMAT: option(kinds.choice(['json', 'pretty']), {
    help: 'How messages look: json, but pretty on a terminal, without it.',
  }),

  DEVICE_TOKENS_PATH: option(kinds.path, {
    section: 'Devices',
    help: 'A file with one hashed token a device, as `otaflux token` prints it; read again when it changes. A device shows its token as Bearer, or as the password of Basic authentication.',
  }),
  DEVICE_URL_SECRET: option(kinds.signingSecrets, {
    secret: true,
    help: 'Lets in devices whose URLs `otaflux sign-url` signed; several for rotation, the first of which signs.',
  }),
  DEVICE_HEADER: option(kinds.text, {
    help: 'A header in which a proxy of TRUST_PROXY names the device whose certificate it has verified, such as X-SSL-Client-S-DN.',
  }),
  TRUST_PROXY: option(kinds.list, {
    help: 'Addresses and networks of reverse proxies, for example 10.0.0.0/8. Their headers X-Forwarded-For and Forwarded name the client, for limits, logs and offered versions.',
  }),
  ADDRESS_RATE_LIMIT: option<Rate>(kinds.rate, {
    default: '5000/s',
    help: 'Requests that one address may send, in the long run; twenty times as many at once. 429 beyond it. 0 for no limit.',
  }),
  DEVICE_RATE_LIMIT: option<Rate>(kinds.rate, {
    default: '5000/s',
    help: 'The same for one device id, which a whole fleet may share.',
  }),
  MAX_DOWNLOADS: option(kinds.integer(1, 1_000_000), {
    help: 'Downloads at once. Beyond it `/version` answers 503, while those that were told a version get it. No limit without it.',
  }),
  MAX_CONNECTIONS: option(kinds.integer(1, 1_000_000), {
    help: 'Connections on the device port; further ones are closed at once. No limit but that of the system without it.',
  }),
  HEADERS_TIMEOUT: option(kinds.duration, {
    default: '60s',
    help: 'How long a client may take to send the headers of a request.',
  }),

  WEBHOOK_SECRET: option(kinds.signingSecrets, {
    section: 'Webhooks',
    secret: true,
    help: 'What a webhook sender must show; several for rotation. Without one, only known and watched devices are refreshed.',
  }),

  MQTT_URL: option(kinds.url(['mqtt', 'mqtts', 'ws', 'wss']), {
    section: 'Notifications',
    secret: true,
    help: 'The broker that is told of new releases: `mqtt[s]://[user:pass@]host:port[?client_id=ID]`, or `ws[s]://…` for WebSockets; `version=5` in the query speaks MQTT 5.',
  }),
  MQTT_USERNAME: option(kinds.text, { help: 'User at the broker.' }),
  MQTT_PASSWORD: option(kinds.text, { secret: true, help: 'Password at the broker.' }),
  MQTT_TOPIC: option(kinds.topic, {
    help: 'Messages go to `TOPIC/DEVICE`, one retained message for each device. Without a topic they go to `/DEVICE`, with a warning at the start.',
  }),
  MQTT_CA_CERT_PATH: option(kinds.path, {
    help: 'PEM file with the certificate authority of the broker. Default: the authorities that Node.js trusts.',
  }),
  MQTT_CLIENT_CERT_PATH: option(kinds.path, {
    help: 'PEM file with the client certificate for the broker. Give certificate and key together.',
  }),
  MQTT_CLIENT_KEY_PATH: option(kinds.path, { help: 'PEM file with the key of the client certificate.' }),
  NOTIFY: option(kinds.urls(NOTIFY_SCHEMES), {
    secret: true,
    help: 'Further brokers and receivers that are told of new releases, each with its options in its query: see docs/notifications.md.',
  }),
  NOTIFY_SECRET: option(kinds.signingSecret, {
    secret: true,
    help: 'Signs what is sent to the http(s) URLs of NOTIFY: HMAC-SHA256 of the body, in `X-Hub-Signature-256`.',
  }),
  STATE_DIR: option(kinds.path, {
    help: 'A folder that remembers what was told, where the receiver itself keeps nothing (http, RabbitMQ, NATS without JetStream). Without it those are told everything once more after a restart.',
  }),
} satisfies Record<string, Option>;

/** The name of an option, spelled as its environment variable. */
export type Variable = keyof typeof OPTIONS;

/** `REGISTRY_URL` → `registryUrl`. */
export type SettingName<V extends string> = V extends `${infer Head}_${infer Tail}`
  ? `${Lowercase<Head>}${Capitalize<SettingName<Tail>>}`
  : Lowercase<V>;
/** The type of an option's value. */
export type SettingValue<O> = O extends TypedOption<infer T, infer D> ? (D extends string ? T : T | undefined) : never;

/** Every option, read and checked. Durations are in milliseconds, sizes in bytes. */
export type SettingValues = {
  readonly [V in Variable as SettingName<V>]: SettingValue<(typeof OPTIONS)[V]>;
};

export const VARIABLES = Object.keys(OPTIONS) as Variable[];

/** The option of `variable`, by its general type. */
export function optionOf(variable: Variable): Option {
  return OPTIONS[variable];
}

/** `REGISTRY_URL` → `registry-url`: the flag without its dashes, and the key in the file. */
export function flagOf(variable: string): string {
  return variable.toLowerCase().replaceAll('_', '-');
}

/** `REGISTRY_URL` → `registryUrl`. */
export function settingOf(variable: string): string {
  return variable.toLowerCase().replaceAll(/_(.)/g, (_match, letter: string) => letter.toUpperCase());
}

const sections = new Map<Variable, string>();
let section = '';
for (const variable of VARIABLES) sections.set(variable, (section = optionOf(variable).section ?? section));

/** The section of the option table that `variable` is in. */
export function sectionOf(variable: Variable): string {
  return sections.get(variable) ?? '';
}
