import { writeFileSync } from 'node:fs';
import { gather, flagOf, optionOf, parseSettings, VARIABLES, type GivenValues, type Variable } from '../config/index.js';
import { codeOf, ConfigError, reasonOf } from '../errors.js';
import { configurationFile } from './configuration-file.js';
import { ask, isInteractive } from './prompt.js';

export interface InitOptions {
  readonly output: string;
  readonly force: boolean;
}

interface Question {
  readonly variable: Variable;
  /** The flag whose value is asked for, in place of that of `variable`: a file for a secret. */
  readonly file?: true;
  readonly text: string;
  readonly suggestion?: string;
  /** Asked only if it returns true for the answers so far. */
  readonly when?: (flags: Flags) => boolean;
}

type Flags = Readonly<Record<string, unknown>>;

const isFolder = (flags: Flags): boolean => String(flags['registry-url']).startsWith('oci:');
const has = (flag: string) => (flags: Flags) => flags[flag] !== undefined;

/** What most servers need to know. An empty answer takes the suggestion, or leaves the option out. */
const QUESTIONS: readonly Question[] = [
  {
    variable: 'REGISTRY_URL',
    text: 'URL of the registry that holds your firmware, or oci:FOLDER',
    suggestion: 'oci:./registry',
  },
  { variable: 'REPOSITORY_PREFIX', text: 'Prefix of the repository names (empty: none)' },
  {
    variable: 'REGISTRY_USERNAME',
    text: 'User name at the registry (empty: anonymous)',
    when: (flags) => !isFolder(flags),
  },
  {
    variable: 'REGISTRY_PASSWORD',
    file: true,
    text: 'File with the password or token of this user',
    suggestion: './registry-password',
    when: has('registry-username'),
  },
  {
    variable: 'COSIGN_PUB_KEY_PATH',
    text: 'Public key that releases must be signed with: path of a PEM file (empty: signatures are not verified)',
  },
  { variable: 'LISTEN_ADDR', text: 'Address for devices', suggestion: '0.0.0.0:8080' },
  { variable: 'MQTT_URL', text: 'MQTT broker that announces new versions, such as mqtt://localhost:1883 (empty: none)' },
  { variable: 'MQTT_TOPIC', text: 'MQTT topic', suggestion: 'firmware', when: has('mqtt-url') },
];

/** Writes the configuration file. Rejects with ConfigError for a wrong option or a file that exists. */
export async function init(flags: Flags, { output, force }: InitOptions): Promise<void> {
  const answered = isInteractive() ? await answers(flags) : flags;
  const given = await gather({ flags: answered, environment: {}, readSecrets: false });
  if (!given.REGISTRY_URL && !isInteractive())
    throw new ConfigError('init asks questions on a terminal. Without a terminal, give --registry-url and other options');
  check(given);
  write(output, configurationFile(given), { force, isSecret: hasSecret(given) });
  process.stdout.write(`Wrote ${output}\nStart the server: otaflux --config ${output}\n`);
}
