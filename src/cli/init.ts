import { existsSync, writeFileSync } from 'node:fs';
import { flagOf, optionOf, parseSettings, VARIABLES, type GivenValues, type Variable } from '../config/index.js';
import { codeOf, ConfigError, reasonOf } from '../errors.js';
import { writeProblem } from '../file-problem.js';
import { initialFile, isSetIn, type FileValues } from './configuration-file.js';
import { ask, isInteractive } from './prompt.js';

export interface InitOptions {
  readonly output: string;
  readonly force: boolean;
}

interface Question {
  readonly key: string;
  readonly text: string;
  /** What an empty answer means; without one it leaves the option out. */
  readonly suggestion?: string;
  /** Whether the question makes sense after the answers so far. */
  readonly when?: (values: FileValues) => boolean;
}

const isFolder = (values: FileValues): boolean => String(values['registry-url']).startsWith('oci:');

/** What most servers need to know. */
const QUESTIONS: readonly Question[] = [
  { key: 'registry-url', text: 'URL of the registry, or oci:DIR', suggestion: 'oci:./registry' },
  { key: 'repository-prefix', text: 'Prefix of the repository names (empty: none)' },
  {
    key: 'registry-username',
    text: 'User name at the registry (empty: anonymous)',
    when: (values) => !isFolder(values),
  },
  {
    key: 'registry-password-file',
    text: 'File with the password or token of this user',
    suggestion: './registry-password',
    when: (values) => isSetIn(values, 'REGISTRY_USERNAME') && !isSetIn(values, 'REGISTRY_PASSWORD'),
  },
  { key: 'cosign-pub-key-path', text: 'PEM file with the public key that verifies releases (empty: no verification)' },
  { key: 'listen-addr', text: 'Address for devices', suggestion: '0.0.0.0:8080' },
  {
    key: 'mqtt-url',
    text: 'MQTT broker for announcements (empty: none)',
    when: (values) => !isSetIn(values, 'MQTT_URL'),
  },
  {
    key: 'mqtt-topic',
    text: 'MQTT topic',
    suggestion: 'firmware',
    when: (values) => isSetIn(values, 'MQTT_URL'),
  },
];

/** Writes a configuration file from `flags` and, on a terminal, answers. Rejects with ConfigError. */
export async function init(flags: FileValues, { output, force }: InitOptions): Promise<void> {
  if (!isInteractive() && flags['registry-url'] === undefined)
    throw new ConfigError('init asks its questions on a terminal. Without one, give --registry-url and other options');
  // Before the questions, not after the last one.
  if (!force && existsSync(output)) throw exists(output);
  const values = isInteractive() ? await answered(flags) : flags;
  parseSettings(givenBy(values));
  write(output, values, force);
  process.stdout.write(`Wrote ${output}\n`);
  for (const path of missingFiles(values))
    process.stdout.write(`${path} does not exist yet. Create it before the start\n`);
  process.stdout.write(`Start the server: otaflux --config ${output}\n`);
}

async function answered(flags: FileValues): Promise<FileValues> {
  const values: Record<string, unknown> = { ...flags };
  for (const question of QUESTIONS) {
    if (values[question.key] !== undefined || question.when?.(values) === false) continue;
    const answer = await answerTo(question);
    if (answer !== '') values[question.key] = answer;
  }
  return values;
}

/** Asks until the answer is one that the option takes. */
async function answerTo({ key, text, suggestion = '' }: Question): Promise<string> {
  for (;;) {
    const typed = await ask(`${text}${suggestion && ` [${suggestion}]`}: `);
    if (typed === undefined) throw new ConfigError('cancelled, no file was written. Run otaflux init again');
    const answer = typed || suggestion;
    const problem = answer === '' ? undefined : problemWith(key, answer);
    if (problem === undefined) return answer;
    process.stderr.write(`${problem}\n`);
  }
}

function problemWith(key: string, answer: string): string | undefined {
  const variable = VARIABLES.find((candidate) => flagOf(candidate) === key);
  try {
    if (variable) optionOf(variable).kind.read(answer);
    return undefined;
  } catch (error) {
    return `Expected ${reasonOf(error)}`;
  }
}

/** The values as options. A secret in a file is not read, because the file need not exist yet. */
function givenBy(values: FileValues): GivenValues {
  const given: GivenValues = {};
  for (const variable of VARIABLES) {
    const key = flagOf(variable);
    const value = values[key] ?? (values[`${key}-file`] === undefined ? undefined : standIn(variable));
    if (value !== undefined) given[variable] = { value, where: `--${key}` };
  }
  return given;
}

const exists = (path: string): ConfigError =>
  new ConfigError(`--output: ${path} exists. Use --force to replace it, or --output for another file`);

/** The files that the configuration names, and that somebody has to write before the server starts. */
function missingFiles(values: FileValues): string[] {
  return Object.entries(values)
    .filter(([key]) => key.endsWith('-file') || key === 'cosign-pub-key-path')
    .map(([, path]) => String(path))
    .filter((path) => !existsSync(path));
}

/** Some value that the option takes. */
function standIn(variable: Variable): string {
  const samples = ['x'.repeat(64), 'mqtt://localhost', 'https://localhost'];
  return samples.find((sample) => isTaken(variable, sample)) ?? '';
}

function isTaken(variable: Variable, value: string): boolean {
  try {
    optionOf(variable).kind.read(value);
    return true;
  } catch {
    return false;
  }
}

/** Only its owner may read a file that holds a secret. */
function write(path: string, values: FileValues, force: boolean): void {
  const holdsSecret = VARIABLES.some((variable) => optionOf(variable).secret && values[flagOf(variable)] !== undefined);
  try {
    writeFileSync(path, initialFile(values), { flag: force ? 'w' : 'wx', mode: holdsSecret ? 0o600 : 0o644 });
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw exists(path);
    throw new ConfigError(`--output: cannot write ${JSON.stringify(path)}: ${writeProblem(error)}`);
  }
}
