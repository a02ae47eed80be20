/** Makes the JSON schema of the chart's values out of values.yaml: the comment above a value describes it. */
import { isMap, isScalar, parseDocument } from 'yaml';

/** Objects that Kubernetes defines: any keys, checked by the cluster. */
const OPEN = new Set([
  'config',
  'volume',
  'podAnnotations',
  'podLabels',
  'podSecurityContext',
  'securityContext',
  'annotations',
  'labels',
  'resources',
  'startupProbe',
  'livenessProbe',
  'readinessProbe',
  'nodeSelector',
  'affinity',
]);

/** Values with more to say than their default does. */
const SPECIAL = {
  logLevel: { enum: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', null] },
  pullPolicy: { enum: ['Always', 'IfNotPresent', 'Never'] },
  type: { enum: ['ClusterIP', 'NodePort', 'LoadBalancer'] },
  minAvailable: { type: ['integer', 'string', 'null'] },
};

/** What the first charts of the Rust server had instead of `registry`. */
const LEGACY = {
  registryUrl: { type: ['string', 'null'], description: 'registry.url, as the first charts had it' },
  registryUsername: {
    type: ['string', 'number', 'null'],
    description: 'registry.username, as the first charts had it',
  },
  registryPassword: {
    type: ['string', 'number', 'null'],
    description: 'registry.password, as the first charts had it',
  },
};

/** Throws when a value has no comment. */
export function valuesSchema(text) {
  const { contents } = parseDocument(text);
  const schema = objectSchema(contents, []);
  schema.properties.otaflux.properties = { ...schema.properties.otaflux.properties, ...LEGACY };
  schema.properties.global = { type: 'object', description: 'Values that Helm hands to all charts' };
  return `${JSON.stringify({ $schema: 'http://json-schema.org/draft-07/schema#', title: 'Values of the OtaFlux chart', ...schema }, null, 2)}\n`;
}

function objectSchema(map, path) {
  const properties = {};
  map.items.forEach(({ key, value }, index) => {
    // The comment above the first key belongs to the map, says the parser.
    const comment = key.commentBefore ?? (index === 0 ? map.commentBefore : undefined);
    const name = [...path, key.value].join('.');
    if (!comment) throw new Error(`helm/otaflux/values.yaml: ${name} has no comment`);
    // An empty line ends what stands above a group of values.
    const description = comment
      .split(/\n(?=\n)/)
      .at(-1)
      .replaceAll(/\s*\n\s*/g, ' ')
      .trim();
    properties[key.value] = { description, ...(SPECIAL[key.value] ?? typeOf(value, key.value, [...path, key.value])) };
  });
  return { type: ['object', 'null'], additionalProperties: false, properties };
}

function typeOf(value, key, path) {
  if (OPEN.has(key)) return { type: ['object', 'null'] };
  if (isMap(value)) return objectSchema(value, path);
  if (!isScalar(value)) return { type: ['array', 'null'] };
  switch (typeof value.value) {
    case 'boolean':
      return { type: ['boolean', 'null'] };
    case 'number':
      return { type: ['integer', 'null'] };
    case 'string':
      // YAML reads an unquoted 1234 as a number.
      return { type: ['string', 'number', 'null'] };
    default:
      return { type: ['integer', 'null'] };
  }
}
