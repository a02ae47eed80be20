import type { Command } from 'commander';
import { VARIABLES } from '../config/index.js';
import { CliCommand } from './cli-command.js';
import { addOptions, givenFlags } from './flags.js';

/** `otaflux init`: a configuration file from a few questions, or from flags. */
export function initCommand(): Command {
  const command = new CliCommand('init')
    .summary('Write a configuration file.')
    .description(
      'Writes a configuration file with comments. On a terminal it asks for the settings that most servers need, unless you give them as options. Without a terminal, it takes them from the options and requires --registry-url.',
    )
    .option('--output <path>', 'File to write. Default: otaflux.yaml.', 'otaflux.yaml')
    .option('--force', 'Replace the file if it exists.')
    .withExamples(
      { does: 'Answer questions', call: 'otaflux init' },
      {
        does: 'Without questions',
        call: 'otaflux init --registry-url https://harbor.example.com --repository-prefix firmware --cosign-pub-key-path cosign.pub',
      },
      { does: 'Start the server with the file', call: 'otaflux --config otaflux.yaml' },
    )
    .withExitCodes({ 0: 'The file is written.', 2: 'An option is wrong, or the file exists.' });
  return addOptions(command, VARIABLES).action(async () => {
    const { output, force = false } = command.opts<{ output: string; force?: boolean }>();
    const { init } = await import('./init.js');
    await init(givenFlags(command), { output, force });
  });
}
