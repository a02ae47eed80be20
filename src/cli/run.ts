import { Command, CommanderError } from 'commander';
import { ConfigError, reasonOf } from '../errors.js';
import { signUrlCommand, tokenCommand } from './access-commands.js';
import { healthCommand, notifyCommand, statusCommand } from './control-commands.js';
import { pushCommand } from './push-command.js';
import { serveCommand } from './serve-command.js';
import { verifyCommand } from './verify-command.js';
import { packageVersion } from '../version.js';

/** Wrong use: a flag, a value, a file (as grep, curl and the Rust server's clap have it). */
const EXIT_USAGE = 2;
const EXIT_FAILURE = 1;

/** Runs `argv` (without node and script) and resolves to the exit code. */
export async function run(argv: readonly string[]): Promise<number> {
  const serve = serveCommand();
  const program = new Command('otaflux')
    .description('Serves firmware to IoT devices over HTTP, straight from a container registry.')
    .version(packageVersion(), '-V, --version')
    .helpCommand(false)
    .addCommand(serve, { isDefault: true })
    .addCommand(pushCommand())
    .addCommand(verifyCommand())
    .addCommand(statusCommand())
    .addCommand(notifyCommand())
    .addCommand(healthCommand())
    .addCommand(tokenCommand())
    .addCommand(signUrlCommand())
    .addHelpText(
      'after',
      () => `\nServing is what no command means. ${serve.helpInformation().replace(/^Usage: /, 'Its usage: ')}`,
    );
  for (const command of [program, ...program.commands]) {
    command
      .exitOverride()
      .configureOutput({ writeErr: () => undefined })
      .allowExcessArguments(false);
  }
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return explain(error);
  }
}

/** One line on standard error, and the exit code that goes with it. */
function explain(error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0;
    process.stderr.write(
      `otaflux: ${error.message.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ')}; see otaflux --help\n`,
    );
    return EXIT_USAGE;
  }
  // A configuration may be wrong in several ways, a line each.
  process.stderr.write(`otaflux: ${ConfigError.is(error) ? error.message : reasonOf(error)}\n`);
  return ConfigError.is(error) ? EXIT_USAGE : EXIT_FAILURE;
}
