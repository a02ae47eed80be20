import { Argument, type Command } from 'commander';
import { CliCommand } from './cli-command.js';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** `otaflux completion SHELL`: a script by which the shell completes our commands. */
export function completionCommand(): Command {
  const command = new CliCommand('completion')
    .summary('Print a script for the completion of a shell.')
    .description('Prints a script by which bash, zsh or fish completes the commands and options of otaflux.')
    .addArgument(new Argument('<shell>', 'bash, zsh or fish.').choices(SHELLS))
    .withExamples(
      { does: 'Complete in this bash', call: 'source <(otaflux completion bash)' },
      { does: 'Enable completion in every zsh session', call: 'otaflux completion zsh > "${fpath[1]}/_otaflux"' },
      { does: 'Complete in every fish', call: 'otaflux completion fish > ~/.config/fish/completions/otaflux.fish' },
    )
    .withExitCodes({ 0: 'The script is printed.', 2: 'The argument is wrong.' });
  return command.action(async (shell: (typeof SHELLS)[number]) => {
    const { completionFor } = await import('./completion.js');
    if (command.parent) process.stdout.write(completionFor(command.parent, shell));
  });
}
