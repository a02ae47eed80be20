/**
 * Makes the JSON schemas that kubeconform needs for the kinds in the chart, without descriptions, strict, each in one file:
 *   node scripts/kubernetes-schemas.mjs KUBERNETES/api/openapi-spec/swagger.json CRD.yaml…
 * The sources are k8s.io/kubernetes, prometheus-operator (example/prometheus-operator-crd) and gateway-api (config/crd).
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parse } from 'yaml';

const FOLDER = new URL('../test/fixtures/kubernetes-schemas/', import.meta.url);
const KINDS = [
  'io.k8s.api.apps.v1.Deployment',
  'io.k8s.api.apps.v1.StatefulSet',
  'io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler',
  'io.k8s.api.core.v1.ConfigMap',
  'io.k8s.api.core.v1.Pod',
  'io.k8s.api.core.v1.Secret',
  'io.k8s.api.core.v1.Service',
  'io.k8s.api.core.v1.ServiceAccount',
  'io.k8s.api.networking.v1.Ingress',
  'io.k8s.api.networking.v1.NetworkPolicy',
  'io.k8s.api.policy.v1.PodDisruptionBudget',
];

const [swagger, ...crds] = process.argv.slice(2);
mkdirSync(FOLDER, { recursive: true });

function write(kind, group, version, schema) {
  const name = [kind, group.split('.')[0], version].filter(Boolean).join('-').toLowerCase();
  writeFileSync(new URL(`${name}.json`, FOLDER), `${JSON.stringify(schema)}\n`);
}

/** References resolved, descriptions dropped, unknown keys refused. */
function strict(schema, definitions = {}) {
  if (Array.isArray(schema)) return schema.map((item) => strict(item, definitions));
  if (typeof schema !== 'object' || schema === null) return schema;
  if (schema.$ref) return strict(definitions[schema.$ref.replace('#/definitions/', '')], definitions);
  if (schema.format === 'int-or-string' || schema['x-kubernetes-int-or-string'])
    return { type: ['string', 'integer', 'null'] };
  const result = {};
  for (const [key, value] of Object.entries(schema)) {
    // A property may be called description, a keyword is dropped.
    if (key === 'properties')
      result.properties = Object.fromEntries(
        Object.entries(value).map(([name, item]) => [name, strict(item, definitions)]),
      );
    else if (!['description', 'format', 'example'].includes(key) && !key.startsWith('x-kubernetes'))
      result[key] = strict(value, definitions);
  }
  if (result.properties && result.additionalProperties === undefined) result.additionalProperties = false;
  return result;
}

const { definitions } = JSON.parse(readFileSync(swagger, 'utf8'));
for (const name of KINDS) {
  const [group, version, kind] = name.replace('io.k8s.api.', '').split('.');
  write(kind, group === 'core' ? '' : group, version, strict(definitions[name], definitions));
}
for (const path of crds) {
  const { spec } = parse(readFileSync(path, 'utf8'));
  const { name: version, schema } = spec.versions.find(({ storage }) => storage);
  const own = strict(schema.openAPIV3Schema);
  own.properties.metadata = { type: 'object' };
  write(spec.names.kind, spec.group, version, own);
}
