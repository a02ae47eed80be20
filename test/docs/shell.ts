import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './page.js';

export const isShell = (language: string): boolean => ['sh', 'bash', 'shell', 'console'].includes(language);

/** What is wrong with the commands of a block, whether it runs or not: its syntax, and what it asks `otaflux` for. */
export function shellProblems(text: string): string[] {
  const { stderr } = spawnSync('bash', ['-n', '-c', text], { encoding: 'utf8' });
  return [...(stderr ? [stderr.trim()] : []), ...commandsIn(text).flatMap(commandProblems)];
}

/** The arguments of each `otaflux` in a script. What is quoted becomes one word. */
function commandsIn(text: string): string[][] {
  return text
    .replaceAll('\\\n', ' ')
    .replaceAll(/'[^']*'|"(?:\\.|[^"\\])*"/g, 'quoted')
    .replaceAll(/(^|\s)#.*$/gm, '')
    .split(/\n|\|\|?|&&?|;|\$\(|\)/)
    .map((command) => command.trim().split(/\s+/))
    .map((words) => words.slice(words.findIndex((word) => !/^[A-Z_]+=/.test(word))))
    .map((words) => (words[0] === 'npx' ? words.slice(1) : words))
    .filter(([program]) => program === 'otaflux')
    .map(([, ...args]) => args);
}

function commandProblems([first = '', ...rest]: readonly string[]): string[] {
  const command = /^[a-z]/.test(first) ? first : '';
  if (command !== '' && !helpOf('').commands.has(command)) return [`otaflux has no command ${command}`];
  const [second = ''] = rest;
  const { flags } = helpOf(command !== '' && helpOf(command).commands.has(second) ? `${command} ${second}` : command);
  const given = [first, ...rest].filter((word) => word.startsWith('--')).map((word) => word.replace(/=.*/, ''));
  return given.filter((flag) => !flags.has(flag)).map((flag) => `otaflux ${command}: there is no ${flag}`);
}

interface Help {
  readonly commands: ReadonlySet<string>;
  readonly flags: ReadonlySet<string>;
}

const helps = new Map<string, Help>();

/** What `--help` lists, for a command or, by an empty text, for the whole; `serve` is what no command means. */
function helpOf(command: string): Help {
  const known = helps.get(command);
  if (known) return known;
  const text = (...args: string[]): string =>
    spawnSync(process.execPath, [join(ROOT, 'dist/main.js'), ...args, '--help'], { encoding: 'utf8' }).stdout;
  // `--[no-]production` is two flags.
  const printed = (command === '' ? text() + text('serve') : text(...command.split(' '))).replaceAll(
    /--\[no-\]([\w-]+)/g,
    '--$1 --no-$1',
  );
  const help = {
    // The overview has several on a line.
    commands: new Set(
      [...printed.matchAll(/^ {2}([a-z][a-z-]*(?:, [a-z][a-z-]*)*)[ |]/gm)].flatMap(([, names = '']) =>
        names.split(', '),
      ),
    ),
    // `--[no-]watch` stands for two.
    flags: new Set(printed.replaceAll(/--\[no-\]([\w-]+)/g, '--$1 --no-$1').match(/--[a-z][\w-]*/g)),
  };
  helps.set(command, help);
  return help;
}
