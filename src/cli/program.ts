import { Command } from 'commander';
import { packageVersion } from '../version.js';
import { signUrlCommand, tokenCommand } from './access-commands.js';
import { completionCommand } from './completion-command.js';
import { unitsCommand } from './units-command.js';
import { healthCommand, notifyCommand, statusCommand } from './control-commands.js';
import { initCommand } from './init-command.js';
import { listCommand } from './list-command.js';
import { deleteCommand } from './delete-command.js';
import { helpWidth, indented, shellLines } from './layout.js';
import {
  channelCommand,
  pinCommand,
  promoteCommand,
  rollbackCommand,
  unpinCommand,
  unyankCommand,
  yankCommand,
} from './plan/channel-commands.js';
import { planCommand } from './plan/plan-commands.js';
import { rolloutCommand } from './plan/rollout-commands.js';
import { whyCommand } from './plan/why-command.js';
import { pushCommand } from './push-command.js';
import { simulateCommand } from './simulate-command.js';
import { serveCommand } from './serve-command.js';
import { verifyCommand } from './verify-command.js';

/** What a newcomer tries first: a folder as the registry, the server, and what a device would ask. */
export const FIRST_STEPS = [
  'otaflux push esp32 1.0.0 firmware.bin --registry-url oci:./registry',
  'otaflux --registry-url oci:./registry',
  "curl 'localhost:8080/version?device=esp32'",
] as const;

const EXAMPLES = [
  ...FIRST_STEPS,
  'otaflux --registry-url https://harbor.example.com --repository-prefix fw',
  'otaflux list esp32 --registry-url oci:./registry',
];

/** The whole command line. With `defaults`, `serve` runs where no command is given. */
export function createProgram({ defaults }: { defaults: boolean }): Command {
  const program = new Command('otaflux')
    .description('Serves firmware to IoT devices over HTTP, straight from a container registry.')
    .version(packageVersion(), '-V, --version', 'Print the version.')
    .helpOption('-h, --help', 'Show this help.')
    .helpCommand(false)
    .configureOutput({ getOutHelpWidth: helpWidth })
    .configureHelp({ formatHelp: overview })
    .addCommand(serveCommand(), { isDefault: defaults });
  const others = [
    pushCommand(),
    listCommand(),
    deleteCommand(),
    verifyCommand(),
    rolloutCommand(),
    channelCommand(),
    promoteCommand(),
    rollbackCommand(),
    pinCommand(),
    unpinCommand(),
    yankCommand(),
    unyankCommand(),
    planCommand(),
    whyCommand(),
    statusCommand(),
    unitsCommand(),
    healthCommand(),
    notifyCommand(),
    tokenCommand(),
    signUrlCommand(),
    initCommand(),
    simulateCommand(),
    completionCommand(),
  ];
  for (const command of others) program.addCommand(command);
  return program;
}

/** The commands of `otaflux --help`, several on a line. A command in none of them is hidden there. */
const GROUPS: readonly (readonly [names: readonly string[], text: string])[] = [
  [['serve'], 'Run the server. This is the default.'],
  [['push', 'list', 'delete', 'verify'], 'Versions in the registry.'],
  [['rollout', 'promote', 'rollback', 'yank', 'unyank'], 'Give a version to units, or take it back.'],
  [['channel', 'pin', 'unpin', 'plan', 'simulate'], 'Which units get which versions.'],
  [['status', 'units', 'why', 'health', 'notify'], 'Ask a running server.'],
  [['token', 'sign-url', 'init', 'completion'], 'Credentials, configuration, shells.'],
];

/** `otaflux --help`: one screen of 80 columns and 24 lines. */
function overview(program: Command): string {
  const width = helpWidth();
  const groups = GROUPS.map(([names, text]) => {
    const there = names.filter((name) => program.commands.some((command) => command.name() === name));
    return [there.join(', '), text] as const;
  });
  const column = Math.max(...groups.map(([names]) => names.length)) + 4;
  const commands = groups.flatMap(([names, text]) => {
    const [first = '', ...rest] = indented(text, width, column);
    return [`  ${names}`.padEnd(column) + first.trimStart(), ...rest];
  });
  return [
    ...indented(program.description(), width, 0),
    'Usage: otaflux [command] [options]',
    'Commands:',
    ...commands,
    '',
    'Examples:',
    ...EXAMPLES.flatMap((example) => shellLines(example, width, 2)),
    ...indented('More: otaflux help COMMAND, otaflux --version, https://github.com/otaflux', width, 0),
    '',
  ].join('\n');
}
