import { flagOf, optionOf, sectionOf, VARIABLES, type Variable } from '../config/index.js';
import { indented } from './layout.js';

/** Comments are broken at this column. */
const WIDTH = 110;

/** Lines that are set in the file, by key: the flags without dashes. */
export type FileValues = Readonly<Record<string, unknown>>;

/**
 * A configuration file with the options `variables` under their headings: a comment for each, and its line, which is
 * commented out if `values` does not set it.
 */
export function configurationFile(head: string, variables: readonly Variable[], values: FileValues = {}): string {
  const sections = new Map<string, string[]>();
  for (const variable of variables) {
    const section = sectionOf(variable);
    sections.set(section, [...(sections.get(section) ?? []), entryOf(variable, values)]);
  }
  const blocks = [...sections].map(([title, entries]) => `# --- ${title} ---\n\n${entries.join('\n\n')}\n`);
  return `${head}\n${blocks.join('\n')}`;
}

function entryOf(variable: Variable, values: FileValues): string {
  const { help, kind, secret, default: fallback } = optionOf(variable);
  const comment = indented(`${help} Value: ${kind.takes}.`, WIDTH - 2, 0).map((line) => `# ${line}`);
  const key = flagOf(variable);
  const keys = secret ? [key, `${key}-file`] : [key];
  const isSet = keys.some((name) => values[name] !== undefined);
  const lines = keys.flatMap((name) => {
    if (values[name] !== undefined) return [`${name}: ${yamlOf(values[name])}`];
    const suggestion = name === key && fallback !== undefined ? ` ${yamlOf(fallback)}` : '';
    // Of a secret, only one of the two lines may be set.
    return isSet ? [] : [`#${name}:${suggestion}`];
  });
  return [...comment, ...lines].join('\n');
}

/** Characters that mean nothing to YAML, wherever they stand in a value. */
const PLAIN = /^[\w./][\w./:@+,=%?-]*(?<!:)$/;

/** A value as a YAML scalar: JSON strings are YAML, too. */
function yamlOf(value: unknown): string {
  const text = String(value);
  return PLAIN.test(text) ? text : JSON.stringify(text);
}

/** Options that `otaflux init` shows although they are not set: those that most servers need at some time. */
export const COMMON: readonly Variable[] = [
  ...(['REGISTRY_URL', 'REPOSITORY_PREFIX', 'REGISTRY_USERNAME', 'REGISTRY_PASSWORD'] as const),
  ...(['REFRESH_INTERVAL', 'PRERELEASES', 'COSIGN_PUB_KEY_PATH', 'CACHE_DIR', 'LISTEN_ADDR'] as const),
  ...(['METRICS_LISTEN_ADDR', 'MANAGEMENT_TOKEN', 'TLS_CERT_PATH', 'TLS_KEY_PATH', 'LOG_LEVEL'] as const),
  ...(['DEVICE_TOKENS_PATH', 'WEBHOOK_SECRET', 'MQTT_URL', 'MQTT_TOPIC'] as const),
];

/** Whether `values` set `variable`, or the file that holds it. */
export function isSetIn(values: FileValues, variable: Variable): boolean {
  const key = flagOf(variable);
  return values[key] !== undefined || values[`${key}-file`] !== undefined;
}

/** The file that `otaflux init` writes. */
export function initialFile(values: FileValues): string {
  const shown = VARIABLES.filter((variable) => COMMON.includes(variable) || isSetIn(values, variable));
  const head =
    '# Configuration of OtaFlux. Start the server: otaflux --config FILE\n' + '# All options: otaflux help serve\n';
  return configurationFile(head, shown, values);
}
