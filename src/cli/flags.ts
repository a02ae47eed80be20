import { Option as Flag, type Command } from 'commander';
import { flagOf, optionOf, sectionOf, VARIABLES, type Variable } from '../config/index.js';

/** The options of the registry alone, for commands that serve nothing. */
export const REGISTRY_VARIABLES = VARIABLES.filter(
  (variable) => variable.startsWith('REGISTRY_') || variable === 'REPOSITORY_PREFIX',
);

/** Those of `push`, which refuses what the server would, and says whether devices get the version. */
export const PUSH_VARIABLES: readonly Variable[] = [
  ...REGISTRY_VARIABLES,
  ...(['MAX_FIRMWARE_SIZE', 'PRERELEASES', 'MIN_VERSION', 'COSIGN_PUB_KEY_PATH'] as const),
];

/** Adds `--config` and the flags of `variables` to a command. */
export function addFlags<C extends Command>(command: C, variables: readonly Variable[]): C {
  const config = new Flag('--config <path>', 'YAML file with options. Its keys are the flags without dashes. (CONFIG)');
  return addOptions(command.addOption(config), variables);
}

/** Adds the flags of `variables` to a command, from the option table and under its headings. */
export function addOptions<C extends Command>(command: C, variables: readonly Variable[]): C {
  for (const variable of variables) {
    const { kind, secret } = optionOf(variable);
    const name = flagOf(variable);
    const heading = `${sectionOf(variable)}:`;
    const placeholder = kind.placeholder === undefined ? '[bool]' : `<${kind.placeholder}>`;
    command.addOption(new Flag(`--${name} ${placeholder}`, helpOf(variable)).helpGroup(heading));
    if (kind.placeholder === undefined) command.addOption(new Flag(`--no-${name}`).hideHelp());
    if (secret)
      command.addOption(new Flag(`--${name}-file <path>`, `File that holds the value of --${name}.`).hideHelp());
  }
  return command;
}

/** What `--help` says of an option: its text, its default, and the other ways to give it. */
function helpOf(variable: Variable): string {
  const { help, default: fallback, required, secret } = optionOf(variable);
  const note = required ? ' Required.' : fallback ? ` Default: ${fallback}.` : '';
  const ways = secret ? `${variable}, or a file: --${flagOf(variable)}-file` : variable;
  return `${help.replaceAll('`', '')}${note} (${ways})`;
}

/** What was given on the command line, by flag name. Commander knows options by their camel case. */
export function givenFlags(command: Command): Record<string, unknown> {
  const flags: Record<string, unknown> = {};
  for (const option of command.options) {
    const name = option.attributeName();
    if (command.getOptionValueSource(name) === 'cli')
      flags[option.long?.replace(/^--(?:no-)?/, '') ?? name] = command.getOptionValue(name);
  }
  return flags;
}
