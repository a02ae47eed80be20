/**
 * Makes the JSON schema of the chart's values: names, defaults and comments come from values.yaml, what an option of the
 * server takes comes from the option table.
 */
import { chartValues } from './chart-values.mjs';
import { CHECKED, isDuration } from './values-checks.mjs';

/** The option that a value sets. */
const OPTION_OF = {
  'otaflux.production': 'PRODUCTION',
  'otaflux.logLevel': 'LOG_LEVEL',
  'otaflux.logFormat': 'LOG_FORMAT',
  'otaflux.repositoryPrefix': 'REPOSITORY_PREFIX',
  'otaflux.listenAddr': 'LISTEN_ADDR',
  'otaflux.metricsListenAddr': 'METRICS_LISTEN_ADDR',
  'otaflux.trustProxy': 'TRUST_PROXY',
  'otaflux.registry.username': 'REGISTRY_USERNAME',
  'otaflux.registry.password': 'REGISTRY_PASSWORD',
  'otaflux.registry.insecure': 'REGISTRY_INSECURE',
  'otaflux.signing.identity': 'COSIGN_CERTIFICATE_IDENTITY',
  'otaflux.signing.identityRegexp': 'COSIGN_CERTIFICATE_IDENTITY_REGEXP',
  'otaflux.signing.issuer': 'COSIGN_CERTIFICATE_OIDC_ISSUER',
  'otaflux.signing.issuerRegexp': 'COSIGN_CERTIFICATE_OIDC_ISSUER_REGEXP',
  'otaflux.signing.policy': 'SIGNATURE_POLICY',
  'otaflux.mqtt.username': 'MQTT_USERNAME',
  'otaflux.mqtt.password': 'MQTT_PASSWORD',
  'otaflux.mqtt.topic': 'MQTT_TOPIC',
  'otaflux.cache.memory': 'CACHE_MEMORY',
  'otaflux.cache.dir.size': 'CACHE_DISK',
};

/** Objects that Kubernetes defines: any keys, checked by the cluster. */
const OPEN =
  /(?:^strategy|^affinity|^dnsConfig|^nodeSelector|^resources|Probe|ecurityContext|nnotations|abels|\.volume)$/;

const strings = { type: 'array', items: { type: 'string' } };
const objects = (properties, required) => ({
  type: 'array',
  items: { type: 'object', properties, required, additionalProperties: false },
});
const open = (...required) => ({ type: 'array', items: { type: 'object', required } });
const amount = { type: ['integer', 'string', 'null'], minimum: 0, pattern: '^(?:100|[1-9]?[0-9])%$' };
const port = { type: 'integer', minimum: 1, maximum: 65_535 };
const OCTET = '(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
const IPV4 = `(?:${OCTET}\\.){3}${OCTET}`;
const GROUP = '[0-9a-fA-F]{1,4}';
const IPV6 = [
  `(?:${GROUP}:){7}${GROUP}`,
  `(?:${GROUP}:){1,7}:`,
  ...[1, 2, 3, 4, 5, 6].map((before) => `(?:${GROUP}:){1,${before}}(?::${GROUP}){1,${7 - before}}`),
  `:(?:(?::${GROUP}){1,7}|:)`,
  `::[fF]{4}:${IPV4}`,
].join('|');
const NETWORK = `${IPV4}(?:/(?:[0-9]|[12][0-9]|3[0-2]))?|(?:${IPV6})(?:/(?:[0-9]|[1-9][0-9]|1[01][0-9]|12[0-8]))?`;
const networks = { type: 'array', items: { type: 'string', pattern: `^(?:${NETWORK})$` } };

/** Values of Kubernetes that have a form of their own. */
const SPECIAL = {
  'otaflux.trustProxy': networks,
  'otaflux.shutdownGraceSeconds': { type: 'integer', minimum: 0, maximum: 31_535_000 },
  'otaflux.extraArgs': strings,
  'otaflux.extraEnv': open('name'),
  'otaflux.extraEnvFrom': open(),
  replicaCount: { type: 'integer', minimum: 0 },
  'image.pullPolicy': { enum: ['Always', 'IfNotPresent', 'Never'] },
  'image.digest': { type: 'string', pattern: '^(?:sha256:[0-9a-f]{64})?$' },
  imagePullSecrets: open('name'),
  'persistence.accessMode': { enum: ['ReadWriteOnce', 'ReadWriteOncePod', 'ReadWriteMany'] },
  'persistence.size': { type: ['string', 'integer'], pattern: '^[0-9]+(?:\\.[0-9]+)?(?:[KMGTPE]i|[kMGTPE])?$' },
  revisionHistoryLimit: { type: ['integer', 'null'], minimum: 0 },
  'service.type': { enum: ['ClusterIP', 'NodePort', 'LoadBalancer'] },
  'service.port': port,
  'service.metricsPort': { ...port, minimum: 0 },
  'service.nodePort': { ...port, type: ['integer', 'null'] },
  'service.loadBalancerSourceRanges': networks,
  'service.externalTrafficPolicy': { enum: ['Cluster', 'Local', ''] },
  'service.sessionAffinity': { enum: ['None', 'ClientIP', ''] },
  'ingress.hosts': objects(
    {
      host: { type: 'string' },
      paths: objects({ path: { type: 'string' }, pathType: { enum: ['Exact', 'Prefix', 'ImplementationSpecific'] } }, [
        'path',
      ]),
    },
    ['host', 'paths'],
  ),
  'ingress.tls': objects({ secretName: { type: 'string' }, hosts: strings }),
  'httpRoute.parentRefs': open('name'),
  'httpRoute.hostnames': strings,
  preStopSeconds: { type: 'integer', minimum: 0 },
  'autoscaling.minReplicas': { type: 'integer', minimum: 1 },
  'autoscaling.maxReplicas': { type: 'integer', minimum: 1 },
  'autoscaling.targetCPUUtilizationPercentage': { type: ['integer', 'null'], minimum: 1 },
  'autoscaling.targetMemoryUtilizationPercentage': { type: ['integer', 'null'], minimum: 1 },
  'podDisruptionBudget.maxUnavailable': amount,
  'podDisruptionBudget.minAvailable': amount,
  'networkPolicy.egress.brokerPorts': { type: 'array', items: port },
  'metrics.serviceMonitor.interval': { type: 'string', pattern: '^(?:[0-9]+(?:ms|[smhdwy]))+$' },
  tolerations: open(),
  topologySpreadConstraints: open('maxSkew', 'topologyKey', 'whenUnsatisfiable'),
  hostAliases: open('ip'),
  dnsPolicy: { enum: ['ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None', ''] },
  initContainers: open('name'),
  extraContainers: open('name'),
  extraVolumes: open('name'),
  extraVolumeMounts: open('name', 'mountPath'),
};

/** What the first charts of the Rust server had instead of `registry`. */
const LEGACY = {
  registryUrl: 'REGISTRY_URL',
  registryUsername: 'REGISTRY_USERNAME',
  registryPassword: 'REGISTRY_PASSWORD',
};

/**
 * @param text values.yaml
 * @param table the option table: `variables`, `optionOf(variable)`, `flagOf(variable)`
 */
export function valuesSchema(text, table) {
  const values = chartValues(text, (path) => !OPEN.test(path));
  const schema = objectSchema(values, table);
  const { otaflux } = schema.properties;
  for (const [key, variable] of Object.entries(LEGACY))
    otaflux.properties[key] = {
      description: `As in the first charts of the Rust server`,
      ...(CHECKED[`otaflux.${key}`] ? typeSchema(variable, table) : optionSchema(variable, table)),
    };
  schema.properties.global = { type: 'object', description: 'Values that Helm hands to all charts' };
  const head = { $schema: 'http://json-schema.org/draft-07/schema#', title: 'Values of the OtaFlux chart' };
  return `${JSON.stringify({ ...head, ...schema, definitions: definitions(table) }, null, 2)}\n`;
}

function objectSchema(values, table) {
  const properties = Object.fromEntries(
    values.map((value) => [value.key, { description: value.description, ...schemaOf(value, table) }]),
  );
  return { type: ['object', 'null'], additionalProperties: false, properties };
}

function schemaOf({ path, value, children }, table) {
  if (path === 'otaflux.config') return configSchema(table);
  if (SPECIAL[path]) return orNothing(SPECIAL[path]);
  if (CHECKED[path]) return typeSchema(CHECKED[path], table);
  if (OPTION_OF[path]) return optionSchema(OPTION_OF[path], table) ?? typeOf(value);
  if (children) return objectSchema(children, table);
  return typeOf(value);
}

function typeOf(value) {
  if (Array.isArray(value)) return { type: ['array', 'null'] };
  if (typeof value === 'object') return { type: ['object', 'null'] };
  if (typeof value === 'boolean') return { type: ['boolean', 'null'] };
  if (typeof value === 'number') return { type: ['integer', 'null'] };
  // YAML reads an unquoted 1234 as a number.
  return { type: ['string', 'number', 'null'] };
}

/**
 * What the value of an option takes; undefined when there is no such option. An empty value leaves it to the server.
 * Helm prints a value that does not match, but of a double negation only where it failed: so no secret is printed.
 */
function optionSchema(variable, { variables, optionOf }) {
  if (!variables.includes(variable)) return undefined;
  const { kind, secret } = optionOf(variable);
  const schema = orNothing(kind.json);
  return secret ? { not: { not: schema } } : schema;
}

/** Only the type of an option, whose value a template checks (values-checks.mjs). */
function typeSchema(variable, { optionOf }) {
  const { kind, secret } = optionOf(variable);
  const schema = orNull({ type: kind.json.type, ...(kind.json.items && { items: { type: kind.json.items.type } }) });
  return secret ? { not: { not: schema } } : schema;
}

/** `schema`, and an empty value beside it. */
function orNothing(schema) {
  const open = Object.fromEntries(Object.entries(schema).filter(([keyword]) => !/^min(?:Items|Length)$/.test(keyword)));
  if (open.pattern) open.pattern = `^$|${open.pattern}`;
  if (open.enum) open.enum = [...new Set([...open.enum, ''])];
  return orNull(open);
}

function orNull(schema) {
  const { type, enum: choices } = schema;
  return {
    ...schema,
    ...(type && { type: [...new Set([type, 'null'].flat())] }),
    ...(choices && { enum: [...new Set([...choices, null])] }),
  };
}

/** Every option by its key in the file, in all spellings; of a secret only the file that holds it. */
function configSchema({ variables, optionOf, flagOf }) {
  const keys = variables.map((variable) => (optionOf(variable).secret ? `${variable}_FILE` : variable));
  const durations = new Set(variables.filter((variable) => isDuration(optionOf(variable))));
  // A number has no unit; a template says so.
  const schemaOfKey = (key) =>
    durations.has(key) ? { type: ['string', 'number', 'null'] } : { $ref: `#/definitions/${flagOf(key)}` };
  return {
    type: ['object', 'null'],
    additionalProperties: false,
    properties: Object.fromEntries(keys.map((key) => [flagOf(key), schemaOfKey(key)])),
    patternProperties: Object.fromEntries(keys.map((key) => [otherSpellings(flagOf(key)), schemaOfKey(key)])),
  };
}

/** `refresh-interval` → what matches refresh_interval, refreshInterval, refreshinterval and REFRESH_INTERVAL. */
function otherSpellings(key) {
  const words = key.split('-');
  const upper = words.map((word) => word.toUpperCase()).join('[-_]?');
  if (words.length === 1) return `^${upper}$`;
  const [first, ...rest] = words;
  const camel = rest.map((word) => `_?[${word[0]}${word[0].toUpperCase()}]${word.slice(1)}`).join('');
  return `^(?:${first}${camel}|${upper})$`;
}

function definitions({ variables, optionOf, flagOf }) {
  return Object.fromEntries(
    variables.map((variable) => {
      const { secret, help, kind } = optionOf(variable);
      if (secret)
        return [
          `${flagOf(variable)}-file`,
          { description: `File that holds ${variable}`, type: 'string', minLength: 1 },
        ];
      return [flagOf(variable), { description: help, ...orNull(kind.json) }];
    }),
  );
}
