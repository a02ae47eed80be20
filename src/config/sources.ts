import { readFileSync } from 'node:fs';
import { ConfigError, reasonOf } from '../errors.js';
import { fileProblem } from '../file-problem.js';
import { text as textKind } from './kinds.js';
import { flagOf, optionOf, VARIABLES, type Variable } from './options.js';
import { mostSimilar } from './similar.js';

/** A value as it was written, and where, for error messages. */
export interface Given {
  readonly value: unknown;
  /** `--refresh-interval`, `REFRESH_INTERVAL` or `otaflux.yaml: refresh-interval`. */
  readonly where: string;
}

/** The options that are set, by variable. */
export type GivenValues = Partial<Record<Variable, Given>>;

/** The sources of values. Flags take precedence over environment variables, and those over the file. */
export interface Sources {
  /** By flag name without dashes. Contains only the flags that were given. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** A larger configuration file is a mistake. */
const MAX_FILE_BYTES = 1024 * 1024;

/**
 * Returns the value of every option that is set, from the source with precedence. Rejects with ConfigError for a file
 * that cannot be read or an unknown key.
 */
export async function gather({ flags, environment }: Sources): Promise<GivenValues> {
  const file = (flags.config ?? environment.CONFIG) as string | undefined;
  const layers = [
    layer((variable) => ({ value: flags[flagOf(variable)], where: `--${flagOf(variable)}` })),
    // An empty variable counts as unset: manifests and compose files set variables without a value.
    layer((variable) => ({ value: environment[variable] || undefined, where: variable })),
    ...(file ? [await readFile(file)] : []),
  ];
  return Object.assign({}, ...layers.reverse()) as GivenValues;
}

/** Returns the values of one source. `X_FILE` of a secret counts as the value of X in that source. */
function layer(read: (variable: string) => Given): GivenValues {
  const values: GivenValues = {};
  for (const variable of VARIABLES) {
    const own = read(variable);
    const file = optionOf(variable).secret ? read(`${variable}_FILE`) : undefined;
    if (own.value !== undefined && file?.value !== undefined) {
      throw new ConfigError(`${own.where} and ${file.where} are both given. Expected one of them`);
    }
    if (own.value !== undefined) values[variable] = own;
    else if (file?.value !== undefined) values[variable] = { value: readSecret(file), where: file.where };
  }
  return values;
}

function readSecret({ value, where }: Given): string {
  // Editors and `echo` end a file with a newline that is not part of the secret.
  return readText(String(value), where).replace(/\r?\n$/, '');
}

function readText(path: string, where: string): string {
  try {
    const bytes = readFileSync(path);
    if (bytes.length > MAX_FILE_BYTES)
      throw new Error(`it has ${bytes.length} bytes, more than the limit of ${MAX_FILE_BYTES}. Name the right file`);
    return bytes.toString('utf8');
  } catch (error) {
    throw new ConfigError(`${where}: cannot read ${JSON.stringify(path)}: ${fileProblem(error)}`);
  }
}

async function readFile(path: string): Promise<GivenValues> {
  const content = await readYaml(path);
  if (content === null || content === undefined) return {};
  if (typeof content !== 'object' || Array.isArray(content))
    throw new ConfigError(
      `--config: ${path} is a YAML list or text, expected keys and values such as registry-url: https://registry.example.com`,
    );
  const keys = new Map<string, Given>();
  for (const [key, value] of Object.entries(content)) {
    const variable = variableOf(key);
    if (!variable) throw new ConfigError(`${path}: unknown key ${JSON.stringify(key)}${suggestion(key)}`);
    if (keys.has(variable))
      throw new ConfigError(`${path}: the key ${JSON.stringify(key)} is given twice. Remove one of them`);
    keys.set(variable, { value: written(variable, value), where: `${path}: ${key}` });
  }
  return layer((variable) => keys.get(variable) ?? { value: undefined, where: `${path}: ${flagOf(variable)}` });
}

async function readYaml(path: string): Promise<unknown> {
  const text = readText(path, '--config');
  const { parseYaml } = await import('./yaml.js');
  try {
    return parseYaml(text);
  } catch (error) {
    throw new ConfigError(`--config: ${path} is not YAML: ${reasonOf(error)}`);
  }
}

/**
 * The value of a key. `null` is none, as YAML has it, but may be a password. A number may be written in all the ways that
 * YAML has.
 */
function written(variable: string, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  // Of a secret there are two keys: its own, and the one with its file, which is no variable of the table.
  const option = VARIABLES.includes(variable as Variable) ? optionOf(variable as Variable) : undefined;
  if (/^(?:null|Null|NULL|~)$/.test(value)) return option?.secret && option.kind === textKind ? value : undefined;
  return option?.kind.numeric && value.trim() !== '' && Number.isFinite(Number(value)) ? String(Number(value)) : value;
}

const fold = (key: string): string => key.toLowerCase().replaceAll(/[-_]/g, '');
const KEYS = VARIABLES.flatMap((variable) => [variable, ...(optionOf(variable).secret ? [`${variable}_FILE`] : [])]);
const byFoldedKey = new Map<string, string>(KEYS.map((variable) => [fold(variable), variable]));

/** `refresh-interval`, `refresh_interval`, `refreshInterval` and `REFRESH_INTERVAL` are one key. */
function variableOf(key: string): string | undefined {
  return byFoldedKey.get(fold(key));
}

function suggestion(key: string): string {
  const near = mostSimilar(key, KEYS);
  return near === undefined
    ? ', see https://github.com/otaflux/otaflux/blob/main/docs/configuration.md for all keys'
    : `, did you mean ${flagOf(near)}?`;
}
