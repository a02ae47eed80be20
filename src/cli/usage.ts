import type { Command, CommanderError } from 'commander';
import { CliCommand } from './cli-command.js';

/** Options of other programs, by the ones that do the same here. */
const MEANT: Readonly<Record<string, string>> = {
  '-v': '--version',
  '-c': '--config',
  '-p': '--listen-addr',
  '--port': '--listen-addr',
  '--host': '--listen-addr',
  '--bind': '--listen-addr',
  '--address': '--listen-addr',
  '--registry': '--registry-url',
  '--prefix': '--repository-prefix',
  '--insecure': '--registry-insecure',
  '--username': '--registry-username',
  '--password': '--registry-password',
  '--key': '--cosign-pub-key-path',
};

/** Returns the line that says what is wrong with a call, and what was probably meant. */
export function usageLine(error: CommanderError, command: Command): string {
  const help = command.parent?.parent
    ? `otaflux ${command.parent.name()} ${command.name()} --help`
    : command.parent
      ? `otaflux help ${command.name()}`
      : 'otaflux --help';
  return `otaflux: ${sentenceOf(error, command)} See ${help}.`;
}

function sentenceOf(error: CommanderError, command: Command): string {
  const message = error.message.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ');
  const [, value, name] = /^command-argument value '(.*)' is invalid for argument '(.*)'\./.exec(message) ?? [];
  if (value !== undefined) {
    const choices = command.registeredArguments.find((argument) => argument.name() === name)?.argChoices ?? [];
    return `${name ?? ''}: got ${JSON.stringify(value)}, expected ${listed(choices)}.`;
  }
  const example = command instanceof CliCommand ? command.examples[0] : undefined;
  if (error.code === 'commander.missingArgument' && example) return `${message}, as in "${example.call}".`;
  const meant =
    / \(Did you mean (.*)\?\)$/.exec(message)?.[1] ?? meantBy(/^unknown \w+ '(.*)'/.exec(message)?.[1], command);
  const plain = message.replace(/ \(Did you mean .*\)$/, '').replace(/\.$/, '');
  return meant === undefined ? `${plain}.` : `${plain}. Did you mean ${meant}?`;
}

/** Finds what commander does not: another case, a missing dash, and what other programs call it. */
function meantBy(written: string | undefined, command: Command): string | undefined {
  if (written === undefined) return undefined;
  const root = command.parent ?? command;
  const lower = written.toLowerCase();
  if (root.commands.some((known) => known.name() === lower)) return lower;
  const flags = [...root.options, ...command.options].map(({ long }) => long);
  const name = lower.replace(/=.*$/, '');
  return [MEANT[name], name, `-${name}`].find((flag) => flag !== undefined && flags.includes(flag));
}

/** `bash, zsh or fish`. */
function listed(choices: readonly string[]): string {
  return choices.join(', ').replace(/, ([^,]*)$/, ' or $1');
}
