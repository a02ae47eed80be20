import { type CommanderError, type Command } from 'commander';
import { misspeltVariables } from '../config/index.js';
import { ConfigError, reasonOf } from '../errors.js';
import { createProgram, FIRST_STEPS } from './program.js';
import { usageLine } from './usage.js';

/** Wrong use: a flag, a value, a file (as grep, curl and the Rust server's clap have it). */
const EXIT_USAGE = 2;
const EXIT_FAILURE = 1;

/** Runs `argv` (without node and script) and resolves to the exit code. */
export async function run(argv: readonly string[]): Promise<number> {
  const args = asFlags(argv);
  const [first] = args;
  // What is no flag must be a command: with a default, commander takes a mistyped one for an argument of `serve`.
  const program = createProgram({ defaults: first === undefined || first.startsWith('-') });
  const isKnown = program.commands.some((command) => command.name() === first);
  for (const command of [program, ...program.commands.flatMap((known) => [known, ...known.commands])]) {
    command
      .exitOverride((error) => {
        throw new UsageError(error, command);
      })
      .configureOutput({ writeErr: () => undefined })
      .allowExcessArguments(false);
  }
  try {
    // Without the rest, as `--help` would show the overview instead of the mistake.
    await program.parseAsync(isKnown || first?.startsWith('-') ? args : args.slice(0, 1), { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    const code = explain(error);
    if (argv.length === 0 && !process.env.REGISTRY_URL && !process.env.CONFIG) process.stderr.write(FIRST_STEPS_TEXT);
    return code;
  }
}

/** `help push` is `push --help`, `help plan show` is `plan show --help`, `help` alone is `--help`, and `version` is `--version`. */
function asFlags(argv: readonly string[]): string[] {
  const [word, name] = argv;
  if (word === 'version' && name === undefined) return ['--version'];
  if (word !== 'help') return [...argv];
  return name === undefined || name === 'help' ? ['--help'] : [...argv.slice(1), '--help'];
}

/** Printed by `otaflux` without a command, for newcomers. */
const FIRST_STEPS_TEXT = `
To try OtaFlux with a folder as the registry:
${FIRST_STEPS.map((step) => `  ${step}\n`).join('')}
Run otaflux --help for all commands.
`;

/** An error of commander, and the command that it is about. */
class UsageError extends Error {
  constructor(
    readonly error: CommanderError,
    readonly command: Command,
  ) {
    super(error.message);
  }
}

/** Writes what is wrong to standard error; returns the exit code that goes with it. */
function explain(error: unknown): number {
  if (error instanceof UsageError) {
    if (error.error.exitCode === 0) return 0;
    if (error.error.code === 'commander.help') {
      // A group of commands, such as `otaflux plan`.
      error.command.outputHelp();
      return 0;
    }
    process.stderr.write(`${usageLine(error.error, error.command)}\n`);
    return EXIT_USAGE;
  }
  // A configuration may be wrong in several ways, a line each.
  process.stderr.write(`otaflux: ${ConfigError.is(error) ? error.message : reasonOf(error)}\n`);
  if (!ConfigError.is(error)) return EXIT_FAILURE;
  for (const { variable, meant } of misspeltVariables(process.env))
    process.stderr.write(`otaflux: the environment variable ${variable} has no effect. Did you mean ${meant}?\n`);
  return EXIT_USAGE;
}
