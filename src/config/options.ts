// First, so that declaration files name these types directly: what the public interface names must be exported from it.
import type { ListenAddress, Rate, RegistryLocation } from './kinds.js';
import * as kinds from './kinds.js';
import { pollIntervals, type PollInterval } from './poll-interval.js';
import { PROTOCOL_NAMES } from './protocol-names.js';
import {
  CHECKSUMS,
  EVENT_SCHEMES,
  NOTIFY_SCHEMES,
  REDIS_SCHEMES,
  option,
  type Option,
  type TypedOption,
} from './option.js';
import { signaturePolicy } from './signature-policy.js';

/** The one option table: flags, variables, file keys, `--help` and docs/configuration.md come from it. */
export const OPTIONS = {
  REGISTRY_URL: option<RegistryLocation>(kinds.registryUrl, {
    section: 'Registry',
    required: true,
    help: 'URL of the registry that holds your firmware. A path in the URL is prepended to every repository name. `oci:DIR` uses the folder DIR, with one OCI image layout per repository.',
  }),
  REPOSITORY_PREFIX: option(kinds.repositoryPrefix, {
    default: '',
    help: 'Prefix of every repository name. The repository of a device is the prefix followed by the device id. A slash at the end is optional.',
  }),
  REGISTRY_USERNAME: option(kinds.text, {
    help: 'User name or robot account at the registry. Default: anonymous access.',
  }),
  REGISTRY_PASSWORD: option(kinds.text, { secret: true, help: 'Password or access token of REGISTRY_USERNAME.' }),
  REGISTRY_AUTH_FILE: option(kinds.path, {
    help: 'Docker or podman `config.json` with credentials for the registry. Ignored if REGISTRY_USERNAME is set. Credential helpers are not supported.',
  }),
  REGISTRY_INSECURE: option(kinds.boolean, {
    default: 'false',
    help: 'Use http instead of https if REGISTRY_URL has no scheme.',
  }),
  REGISTRY_CA_CERT_PATH: option(kinds.path, {
    help: 'PEM file with certificate authorities to trust for the registry, in addition to those of the system.',
  }),
  REGISTRY_TIMEOUT: option(kinds.duration, {
    default: '30s',
    help: 'Maximum duration of a request to the registry, including retries. During a download: maximum time without data.',
  }),

  REFRESH_INTERVAL: option(kinds.duration, {
    section: 'Releases',
    default: '30s',
    help: 'Time for which a release is served without asking the registry again. After that time it is still served at once, and refreshed in the background. 0 asks the registry for every request.',
  }),
  MAX_STALE: option(kinds.duration, {
    help: 'Maximum time for which the last good release is served while the registry is unavailable. Default: no limit.',
  }),
  WATCH: option(kinds.deviceGlobs, {
    help: 'Devices to refresh even before a device asks: device ids, globs, or `all` for every repository that the registry lists. Their new versions are announced without a webhook.',
  }),
  MIN_VERSION: option(kinds.version, {
    help: 'Lowest version that is served. Older versions are not served, even if they are signed. This prevents a rollback to a version with known flaws.',
  }),
  PRERELEASES: option(kinds.boolean, { default: 'true', help: 'Serve pre-release versions such as 2.0.0-rc.1.' }),
  FIRMWARE_FILE: option(kinds.text, {
    help: 'Name of the firmware file in artifacts that hold several files: the title of a layer, or a path in a tar layer.',
  }),
  MAX_FIRMWARE_SIZE: option(kinds.sizeAboveZero, {
    default: '4GiB',
    help: 'Maximum size of a firmware image, compressed or not. The server skips versions with larger images, and `otaflux push` refuses them.',
  }),
  CHECKSUM: option(kinds.choice(CHECKSUMS), {
    default: 'crc32',
    help: 'CRC algorithm of line 2 of `/version`. Use crc32mpeg2 for the STM32 CRC unit.',
  }),

  COSIGN_PUB_KEY_PATH: option(kinds.list, {
    section: 'Signatures',
    help: 'Public keys: PEM files, or folders of PEM files. A release must be signed with one of them. The files are read again when they change. Without a key, an identity or a policy, signatures are not verified.',
  }),
  COSIGN_PUB_KEY: option(kinds.text, { help: 'Public keys as PEM text, in addition to those of COSIGN_PUB_KEY_PATH.' }),
  PLAN_PUB_KEY_PATH: option(kinds.list, {
    help: 'Public keys for rollout plans: PEM files, or folders of PEM files. A plan must be signed with one of them. The files are read again when they change. Default: the keys, identities and policies for firmware.',
  }),
  COSIGN_MATCH_REFERENCE: option(kinds.boolean, {
    default: 'false',
    help: 'Require that a signature in the legacy format names this registry and repository (`docker-reference`).',
  }),
  COSIGN_CERTIFICATE_IDENTITY: option(kinds.text, {
    help: 'Keyless signing: required identity in the certificate, such as a workflow URL or an email address.',
  }),
  COSIGN_CERTIFICATE_IDENTITY_REGEXP: option(kinds.pattern, {
    help: 'Keyless signing: regular expression that the identity must match. It may match a part of the identity: use ^ and $ to match all of it.',
  }),
  COSIGN_CERTIFICATE_OIDC_ISSUER: option(kinds.text, {
    help: 'Keyless signing: required issuer of the identity, such as https://token.actions.githubusercontent.com.',
  }),
  COSIGN_CERTIFICATE_OIDC_ISSUER_REGEXP: option(kinds.pattern, {
    help: 'Keyless signing: regular expression that the issuer must match.',
  }),
  COSIGN_INSECURE_IGNORE_TLOG: option(kinds.boolean, {
    default: 'false',
    help: 'Keyless signing: accept signatures without an entry in the transparency log. For private deployments that have no log.',
  }),
  COSIGN_INSECURE_IGNORE_SCT: option(kinds.boolean, {
    default: 'false',
    help: 'Keyless signing: accept certificates without an entry in the certificate transparency log. For private deployments that have no log.',
  }),
  SIGSTORE_TRUSTED_ROOT_PATH: option(kinds.path, {
    help: 'Keyless signing: `trusted_root.json` file. It is read again when it changes. Default: the file of the public Sigstore instance, downloaded with TUF.',
  }),
  SIGSTORE_CACHE_DIR: option(kinds.path, {
    help: 'Keyless signing: folder for the files that TUF downloads, so that the server can start without internet access. Default: a temporary folder.',
  }),
  SIGNATURE_POLICY: option(signaturePolicy, {
    help: 'Required signers by device: a list of rules with `match` (a glob of device ids) and `keys`, or `identity` and `issuer` (or `identity-regexp` and `issuer-regexp`), or `required: false`. The first rule that matches applies. Devices that match no rule use the options above, and are refused if none of those is set.',
  }),
  SIGNED_VERSION: option(kinds.choice(['check', 'require', 'ignore']), {
    default: 'check',
    help: 'Check of the version in a signed manifest (annotation `org.opencontainers.image.version`) against the tag, because a signature does not cover the tag. `check`: a semantic version in the manifest must be the version of the tag. `require`: the manifest must have a version, too. `ignore`: no check, so that everyone who can push can offer an old signed manifest under a new tag.',
  }),
  MAX_UNVERIFIED: option(kinds.integer(1, 10_000), {
    default: '20',
    help: 'Maximum number of versions without a valid signature that a refresh skips before it gives up.',
  }),

  CACHE_SIZE: option(kinds.integer(0, 1_000_000), {
    section: 'Cache',
    default: '100',
    help: 'Maximum number of firmware images in memory.',
  }),
  CACHE_MEMORY: option(kinds.size, { default: '512MiB', help: 'Maximum size of all firmware images in memory.' }),
  CACHE_DIR: option(kinds.path, {
    help: 'Folder for firmware images and release data. After a restart, the server can serve them while the registry is unavailable. Default: no cache on disk.',
  }),
  CACHE_DISK: option(kinds.size, { default: '10GiB', help: 'Maximum size of all firmware images in CACHE_DIR.' }),

  LISTEN_ADDR: option<ListenAddress>(kinds.listenAddress, {
    section: 'Server',
    default: '0.0.0.0:8080',
    help: 'Address of the device port: devices, webhooks and probes.',
  }),
  METRICS_LISTEN_ADDR: option<ListenAddress>(kinds.listenAddress, {
    default: '127.0.0.1:9090',
    help: 'Address of the management port: `/metrics`, `/status`, `/notify`, `/units` and probes. By default only this machine can reach it. The container image and the Helm chart set `0.0.0.0:9090`.',
  }),
  MANAGEMENT_TOKEN: option<string[]>(kinds.bearerTokens, {
    secret: true,
    help: 'Token that `/status`, `/notify` and `/units` require as `Authorization: Bearer TOKEN`. Several tokens allow rotation. Without a token, everyone who can reach the management port can use them. `/metrics` and probes need no token.',
  }),
  PRODUCTION: option(kinds.boolean, {
    default: 'false',
    help: 'Refuse to start without signature verification for every device, a webhook secret, TLS or a proxy in front, and a protected management port. Signers and proxies that match everyone are refused, too. The error lists everything that is missing.',
  }),
  METRICS_DEVICES: option(kinds.integer(0, 10_000), {
    default: '1000',
    help: 'Maximum number of devices with their own series in `/metrics`: the devices with the most requests. `http_requests_total` counts all devices.',
  }),
  TLS_CERT_PATH: option(kinds.path, {
    help: 'PEM file with the certificate of the device port, followed by its chain. It is read again when it changes. The device port then uses TLS 1.2 or 1.3. Default: plain HTTP.',
  }),
  TLS_KEY_PATH: option(kinds.path, {
    help: 'PEM file with the private key of TLS_CERT_PATH. Required if TLS_CERT_PATH is set.',
  }),
  TLS_CLIENT_CA_PATH: option(kinds.path, {
    help: 'PEM file with the certificate authorities of the devices. The device port then requires a client certificate, and its common name or a subject alternative name must be the requested device id.',
  }),
  TLS_DEVICE_MAP: option(kinds.path, {
    help: 'YAML file that maps names in client certificates to device ids or globs, for example for gateways. It is read again when it changes.',
  }),
  SHUTDOWN_GRACE: option(kinds.duration, {
    default: '30s',
    help: 'Maximum time after SIGTERM for downloads to finish and for pending announcements to be sent. A second signal ends the server at once.',
  }),
  PLUGIN: option(kinds.list, {
    help: 'Plug-ins: paths of modules, or names of packages. A plug-in adds a registry, notifiers, webhook sources, device protocols, authenticators or a verifier. See docs/extending.md.',
  }),
  LOG_LEVEL: option(kinds.choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal']), {
    default: 'info',
    help: 'Lowest level of messages that are logged.',
  }),
  ACCESS_LOG: option(kinds.fraction, {
    default: '0',
    help: 'Fraction of device requests that are logged (event `device.request`): 1 logs all requests, 0.01 one in a hundred.',
  }),
  LOG_FORMAT: option(kinds.choice(['json', 'pretty']), {
    help: 'Log format. Default: `pretty` on a terminal, otherwise `json`.',
  }),

  DEVICE_TOKENS_PATH: option(kinds.path, {
    section: 'Devices',
    help: 'File with hashed device tokens, one per line, as printed by `otaflux token`. It is read again when it changes. A device sends its token as a Bearer token, or as the password of Basic authentication.',
  }),
  DEVICE_URL_SECRET: option(kinds.signingSecrets, {
    secret: true,
    help: 'Secret of signed URLs. Devices with a URL from `otaflux sign-url` have access. Several secrets allow rotation: the first one signs.',
  }),
  DEVICE_HEADER: option(kinds.text, {
    help: 'Header in which a proxy of TRUST_PROXY sends the name in the client certificate that it has verified, such as X-SSL-Client-S-DN.',
  }),
  TRUST_PROXY: option(kinds.list, {
    help: 'Addresses and networks of reverse proxies, for example 10.0.0.0/8. Their headers X-Forwarded-For and Forwarded name the client, for limits, logs and offered versions.',
  }),
  PUBLIC_URL: option(kinds.publicUrl, {
    help: 'URL of the device port, as devices reach it, such as https://ota.example.com. Links to firmware begin with it. Default: the host that the device, or a proxy of TRUST_PROXY, has named.',
  }),
  ADDRESS_RATE_LIMIT: option<Rate>(kinds.rate, {
    default: '5000/s',
    help: 'Maximum average rate of requests from one address. Twenty times as many are allowed in a burst. Further requests get status 429. 0 means no limit.',
  }),
  DEVICE_RATE_LIMIT: option<Rate>(kinds.rate, {
    default: '5000/s',
    help: 'Maximum average rate of requests for one device id, which many units can share. Bursts and status are those of ADDRESS_RATE_LIMIT. 0 means no limit.',
  }),
  PROTOCOLS: option(kinds.choices(PROTOCOL_NAMES), {
    default: PROTOCOL_NAMES.join(','),
    help: 'Protocols of devices that the server speaks. One that is not listed is answered with 404.',
  }),
  MENDER_ACCEPT: option(kinds.path, {
    help: 'Keys of Mender devices that are accepted: `first-use` for every key, where a unit keeps the first one that it was seen with, or a file with one `DEVICE sha256:HEX [UNIT]` per line, which is read again when it changes. Default: `first-use` if devices need no credentials and PRODUCTION is off, otherwise no key.',
  }),
  POLL_INTERVAL: option<PollInterval[]>(pollIntervals, {
    default: '5m~10%',
    help: 'How often units ask for updates, for protocols whose server says so (hawkBit DDI, SWUpdate). `~10%` makes it vary by 10 % more or less, so that units do not ask at the same time. Intervals of single devices: `esp32=1h,gateway-*=10m~20%,*=5m~10%`.',
  }),
  DDI_DEFAULT_PRODUCT: option(kinds.deviceId, {
    help: 'Device id that the tenant `DEFAULT` of hawkBit DDI clients stands for, because many clients cannot name another tenant.',
  }),
  MAX_DOWNLOADS: option(kinds.integer(1, 1_000_000), {
    help: 'Maximum number of simultaneous downloads. Beyond it, `/version` answers 503, and devices that were already offered a version can still download it. Default: no limit.',
  }),
  MAX_CONNECTIONS: option(kinds.integer(1, 1_000_000), {
    help: "Maximum number of open connections on the device port. Further connections are closed. Default: the operating system's limit.",
  }),
  HEADERS_TIMEOUT: option(kinds.duration, {
    default: '60s',
    help: 'Maximum time for a client to send the headers of a request.',
  }),

  WEBHOOK_SECRET: option(kinds.signingSecrets, {
    section: 'Webhooks',
    secret: true,
    help: 'Secret that webhook senders must use. Several secrets allow rotation. Without a secret, anyone can send webhooks, but only devices that the server already serves or watches are refreshed.',
  }),

  MQTT_URL: option(kinds.url(['mqtt', 'mqtts', 'ws', 'wss']), {
    section: 'Notifications',
    secret: true,
    help: 'URL of the MQTT broker that announces new versions: `mqtt[s]://[user:pass@]host:port[?client_id=ID]`, or `ws[s]://…` for WebSockets. `version=5` in the query selects MQTT 5. Default: no announcements over MQTT.',
  }),
  MQTT_USERNAME: option(kinds.text, { help: 'User name at the MQTT broker.' }),
  MQTT_PASSWORD: option(kinds.text, { secret: true, help: 'Password of MQTT_USERNAME.' }),
  MQTT_TOPIC: option(kinds.topic, {
    help: 'First part of the MQTT topic. The topic of a message is `TOPIC/DEVICE`. Each device has one retained message. Without it, the topic is `/DEVICE`, and the server logs a warning at the start.',
  }),
  MQTT_CA_CERT_PATH: option(kinds.path, {
    help: 'PEM file with the certificate authority of the MQTT broker. Default: the authorities that Node.js trusts.',
  }),
  MQTT_CLIENT_CERT_PATH: option(kinds.path, {
    help: 'PEM file with the client certificate for the MQTT broker. Requires MQTT_CLIENT_KEY_PATH.',
  }),
  MQTT_CLIENT_KEY_PATH: option(kinds.path, { help: 'PEM file with the private key of MQTT_CLIENT_CERT_PATH.' }),
  NOTIFY: option(kinds.urls(NOTIFY_SCHEMES), {
    secret: true,
    help: 'URLs of further brokers and receivers that announce new versions. Their options are in the query of each URL. See docs/notifications.md.',
  }),
  NOTIFY_SECRET: option(kinds.signingSecret, {
    secret: true,
    help: 'Secret that signs messages to http and https URLs of NOTIFY: HMAC-SHA256 of the body, in the header `X-Hub-Signature-256`.',
  }),
  EVENTS: option(kinds.urls(EVENT_SCHEMES), {
    secret: true,
    help: 'URLs of brokers to read events from: pushes that a registry or a bridge publishes, and reports of units. Their options are in the query of each URL. See docs/events.md.',
  }),
  STATE_DIR: option(kinds.path, {
    help: 'Folder for what units report, and for the versions that were announced to receivers that do not keep messages (http, RabbitMQ, NATS without JetStream). Without it, units are kept in memory, and these receivers get all current versions again after a restart.',
  }),
  REDIS_URL: option(kinds.redisUrl(REDIS_SCHEMES), {
    section: 'Replicas',
    secret: true,
    help: 'URL of the Redis server that replicas share: units, counts and halts of rollouts, hints of webhooks, and which replica announces a version. `redis[s]://[user:pass@]host[:port][/db]`, `redis[s]+sentinel://host,host/NAME` or `redis[s]+cluster://host,host`. Units are then kept in Redis, not in STATE_DIR. See docs/replicas.md.',
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
