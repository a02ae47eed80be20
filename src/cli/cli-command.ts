import { Command, type Help, type Option } from 'commander';
import { helpWidth, indented, shellLines } from './layout.js';

/** A call of a command, and what it is good for. */
export interface Example {
  readonly call: string;
  readonly does: string;
}

/** A command whose help ends with examples and exit codes; docs/cli.md shows the same. */
export class CliCommand extends Command {
  examples: readonly Example[] = [];
  /** What the exit codes mean, by number. */
  exitCodes: Readonly<Record<number, string>> = {};

  constructor(name: string) {
    super(name);
    this.helpOption('-h, --help', 'Show this help.')
      .configureHelp(HELP)
      .configureOutput({ getOutHelpWidth: helpWidth });
    this.addHelpText('after', () => this.ending());
  }

  withExamples(...examples: Example[]): this {
    this.examples = examples;
    return this;
  }

  withExitCodes(exitCodes: Readonly<Record<number, string>>): this {
    this.exitCodes = exitCodes;
    return this;
  }

  private ending(): string {
    const width = helpWidth();
    const examples = this.examples.flatMap(({ call, does }) => [
      ...indented(`${does}:`, width, 2),
      ...shellLines(call, width, 4),
    ]);
    const column = Math.max(...Object.keys(this.exitCodes).map((code) => code.length)) + 4;
    const codes = Object.entries(this.exitCodes).flatMap(([code, meaning]) => {
      const [first = '', ...rest] = indented(meaning, width, column);
      return [`  ${code}`.padEnd(column) + first.trimStart(), ...rest];
    });
    return [
      ...(examples.length > 0 ? ['', 'Examples:', ...examples] : []),
      ...(codes.length > 0 ? ['', 'Exit codes:', ...codes] : []),
    ].join('\n');
  }
}

/** Flags stand on lines of their own, because most are too long for a column beside their text. */
const HELP: Partial<Help> = {
  optionTerm: termOf,
  // Defaults are in the sentences.
  optionDescription: ({ description }) => description,
  padWidth: (command, helper) =>
    Math.max(0, ...helper.visibleArguments(command).map((argument) => helper.argumentTerm(argument).length)),
  formatItem(term, termWidth, description, helper) {
    const width = helper.helpWidth ?? helpWidth();
    if (term.startsWith('-')) return [`  ${term}`, ...indented(description, width, 6)].join('\n');
    const [first = '', ...rest] = indented(description, width, termWidth + 4);
    return [`  ${term.padEnd(termWidth)}  ${first.trimStart()}`, ...rest].join('\n');
  },
};

/** `--[no-]prereleases` for a boolean of the option table, otherwise what commander shows. */
export function termOf({ flags, long }: Option): string {
  return flags.endsWith(' [bool]') ? `--[no-]${long?.slice(2) ?? ''}` : flags;
}
