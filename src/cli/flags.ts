import { Option as Flag, type Command } from 'commander';
import { flagOf, optionOf, VARIABLES, type Variable } from '../config/index.js';

/** The options of the registry alone, for commands that serve nothing. */
export const REGISTRY_VARIABLES = VARIABLES.filter(
  (variable) => variable.startsWith('REGISTRY_') || variable === 'REPOSITORY_PREFIX',
);

/** Those of `push`, which refuses what the server would. */
export const PUSH_VARIABLES: readonly Variable[] = [...REGISTRY_VARIABLES, 'MAX_FIRMWARE_SIZE'];

/** Adds the flags of `variables` to a command, from the option table. */
export function addFlags(command: Command, variables: readonly Variable[]): Command {
  command.addOption(new Flag('--config <path>', 'A YAML file with options, whose keys are the flags (CONFIG)'));
  for (const variable of variables) {
    const { kind, help, default: fallback, secret, required } = optionOf(variable);
    const name = flagOf(variable);
    const note = required ? 'required' : fallback ? `default ${fallback}` : '';
    const placeholder = kind.placeholder === undefined ? '[bool]' : `<${kind.placeholder}>`;
    command.addOption(
      new Flag(
        `--${name} ${placeholder}`,
        `${help.replaceAll('`', '')} (${[variable, note].filter(Boolean).join(', ')})`,
      ),
    );
    if (kind.placeholder === undefined) command.addOption(new Flag(`--no-${name}`).hideHelp());
    if (secret) command.addOption(new Flag(`--${name}-file <path>`, `A file that holds it (${variable}_FILE)`));
  }
  return command;
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
