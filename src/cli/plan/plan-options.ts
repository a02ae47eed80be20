import type { Command } from 'commander';
import type { Variable } from '../../config/index.js';
import { CliCommand } from '../cli-command.js';
import { addFlags } from '../flags.js';
import { withSigning } from '../sign/sign-options.js';
import { VERIFY_VARIABLES } from '../verify-command.js';

/** Options of commands that read a plan and the versions of a product. */
export const PLAN_VARIABLES: readonly Variable[] = [...VERIFY_VARIABLES, 'MAX_FIRMWARE_SIZE'];

export const PRODUCT = 'Device id, such as esp32.';
export const VERSION = 'Semantic version, such as 1.5.0.';

/** The exit codes of commands that change a plan. */
export const CHANGED = {
  0: 'The plan is changed, or says so already.',
  1: 'The change is not possible, another change was faster, you answered no, or the registry refused it.',
  2: 'An argument or an option is wrong.',
};

/** A command of which only the commands in it do something. */
export function groupCommand(
  name: string,
  summary: string,
  description: string,
  commands: readonly Command[],
): CliCommand {
  const command = new CliCommand(name).summary(summary).description(description).helpCommand(false);
  for (const inner of commands) command.addCommand(inner);
  return command;
}

/** Adds the options of every command that changes a plan. */
export function withChange<C extends Command>(command: C): C {
  command
    .option('-f, --file <path>', 'Change this file instead of the plan in the registry.')
    .option('-y, --yes', 'Change it without a question. Without a terminal nothing is asked.')
    .option('--dry-run', 'Show the change only.')
    .option('--json', 'Print the result as JSON, without a question.');
  return addFlags(withSigning(command), PLAN_VARIABLES);
}
