import type { Command, Option } from 'commander';
import { flagOf, optionOf, VARIABLES } from '../config/index.js';

/** A word that is offered, and what it is for. */
interface Word {
  readonly word: string;
  readonly text: string;
}

interface Offer {
  readonly name: string;
  readonly options: readonly Word[];
  /** The words of the first argument, where only some are right. */
  readonly choices: readonly string[];
  /** The words that the value of an option can be, by the option. */
  readonly values: Readonly<Record<string, readonly string[]>>;
  /** Options with another value: the shell offers files. */
  readonly valued: readonly string[];
}

/** A script that completes what `program` takes, for `shell`. */
export function completionFor(program: Command, shell: 'bash' | 'zsh' | 'fish'): string {
  const commands = program.commands.map((command) => ({ word: command.name(), text: command.summary() }));
  // `help COMMAND` is no command of its own.
  const help = { word: 'help', text: 'Show the help of a command.' };
  const offers = program.commands.map(offerOf);
  const byHelp = { name: 'help', options: [], choices: commands.map(({ word }) => word), values: {}, valued: [] };
  const script = { bash, zsh, fish }[shell];
  return script([...commands, help], [...offers, byHelp]);
}

function offerOf(command: Command): Offer {
  // Behind a group of commands, such as `plan`, the options of all of them are offered.
  const all = uniqueOptions([command, ...command.commands].flatMap(optionsOf));
  const words = all.flatMap(wordsOf);
  const valued = all.filter(({ required }) => required);
  const withChoices = valued.filter((option) => choicesOf(option));
  return {
    name: command.name(),
    options: words,
    choices: command.registeredArguments[0]?.argChoices ?? command.commands.map((inner) => inner.name()),
    values: Object.fromEntries(withChoices.map((option) => [option.long ?? '', choicesOf(option) ?? []])),
    valued: valued.filter((option) => !choicesOf(option)).flatMap((option) => wordsOf(option).map(({ word }) => word)),
  };
}

function optionsOf(command: Command): readonly Option[] {
  const options = command.createHelp().visibleOptions(command);
  // The hidden ones are forms of those: --no-x and --x-file.
  return [...options, ...command.options.filter((option) => !options.includes(option))];
}

function uniqueOptions(options: readonly Option[]): Option[] {
  return [...new Map(options.map((option) => [option.long ?? option.flags, option])).values()];
}

/** The words of the option table by flag, such as `--log-level`. */
const TABLE: ReadonlyMap<string, readonly string[] | undefined> = new Map(
  VARIABLES.map((variable) => [`--${flagOf(variable)}`, optionOf(variable).kind.choices]),
);

/** The words are in the option table. For the options of a single command, `<text|json>` names them. */
function choicesOf({ argChoices, flags, long }: Option): readonly string[] | undefined {
  return argChoices ?? TABLE.get(long ?? '') ?? /<([^>|]+(?:\|[^>|]+)+)>/.exec(flags)?.[1]?.split('|');
}

function wordsOf({ short, long, description }: Option): Word[] {
  const text = (description.split(/\.(?:\s|$)/, 1)[0] ?? '').replaceAll(/\s+/g, ' ');
  return [long, short].filter((word) => word !== undefined).map((word) => ({ word, text }));
}

const list = (words: readonly Word[]): string => words.map(({ word }) => word).join(' ');

function bash(commands: readonly Word[], offers: readonly Offer[]): string {
  const cases = offers.map(({ name, options, choices, values, valued }) => {
    const named = Object.entries(values).map(
      ([option, words]) => `        ${option}) COMPREPLY=($(compgen -W '${words.join(' ')}' -- "$cur")); return ;;\n`,
    );
    const files =
      valued.length > 0 ? `        ${valued.join('|')}) COMPREPLY=($(compgen -f -- "$cur")); return ;;\n` : '';
    const byOption = named.length > 0 || files ? `      case $prev in\n${named.join('')}${files}      esac\n` : '';
    return `    ${name})\n${byOption}      options='${list(options)}'\n      words='${choices.join(' ')}' ;;\n`;
  });
  return `# bash completion for otaflux. Made by: otaflux completion bash
_otaflux() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command=\${COMP_WORDS[1]} options='' words=''
  COMPREPLY=()
  # --option=value comes as three words.
  [[ $cur == = ]] && cur='' prev='=' && ((COMP_CWORD++))
  [[ $prev == = ]] && ((COMP_CWORD > 1)) && prev=\${COMP_WORDS[COMP_CWORD-2]}
  if ((COMP_CWORD == 1)) && [[ $cur != -* ]]; then
    COMPREPLY=($(compgen -W '${list(commands)}' -- "$cur"))
    return
  fi
  # Without a command it is the server.
  [[ $command == -* ]] && command=serve
  case $command in
${cases.join('')}  esac
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$cur"))
  elif [[ -n $words ]]; then
    ((COMP_CWORD == 2)) && COMPREPLY=($(compgen -W "$words" -- "$cur"))
  else
    COMPREPLY=($(compgen -f -- "$cur"))
  fi
}
complete -o filenames -F _otaflux otaflux
`;
}

/** In single quotes, with what zsh's _arguments and _describe take for signs escaped. */
const zshText = (text: string): string => text.replaceAll("'", "'\\''").replaceAll(/[[\]:\\]/g, '\\$&');

function zsh(commands: readonly Word[], offers: readonly Offer[]): string {
  const cases = offers.map(({ name, options, choices, values, valued }) => {
    const specs = options.map(({ word, text }) => {
      const value = values[word] ? `:value:(${values[word].join(' ')})` : valued.includes(word) ? ':value:_files' : '';
      // With =, zsh takes --option=value as well.
      return `'${word}${value && word.startsWith('--') ? '=' : ''}[${zshText(text)}]${value}'`;
    });
    const rest = choices.length > 0 ? `'1:word:(${choices.join(' ')})'` : `'*:file:_files'`;
    return `    ${name})\n      _arguments ${[...specs, rest].join(' \\\n        ')} ;;\n`;
  });
  const described = commands.map(({ word, text }) => `    '${word}:${zshText(text)}'\n`).join('');
  return `#compdef otaflux
# zsh completion for otaflux. Made by: otaflux completion zsh
_otaflux() {
  local -a commands=(
${described}  )
  if ((CURRENT == 2)) && [[ $PREFIX != -* ]]; then
    _describe command commands
    return
  fi
  local command=$words[2]
  if [[ $command == -* ]]; then command=serve; else shift words; ((CURRENT--)); fi
  case $command in
${cases.join('')}  esac
}
if [[ $funcstack[1] == _otaflux ]]; then _otaflux "$@"; else compdef _otaflux otaflux; fi
`;
}

const fishText = (text: string): string => `'${text.replaceAll(/['\\]/g, '\\$&')}'`;

function fish(commands: readonly Word[], offers: readonly Offer[]): string {
  const names = list(commands);
  const lines = commands.map(
    ({ word, text }) => `complete -c otaflux -n __fish_use_subcommand -f -a ${word} -d ${fishText(text)}`,
  );
  for (const { name, options, choices, values, valued } of offers) {
    const seen = `'__fish_seen_subcommand_from ${name}${name === 'serve' ? `; or not __fish_seen_subcommand_from ${names}` : ''}'`;
    const line = `complete -c otaflux -n ${seen}`;
    if (choices.length > 0) lines.push(`${line} -f -a ${fishText(choices.join(' '))}`);
    for (const { word, text } of options) {
      const flag = word.startsWith('--') ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`;
      const value = values[word] ? ` -x -a ${fishText(values[word].join(' '))}` : valued.includes(word) ? ' -r' : '';
      lines.push(`${line} ${flag}${value} -d ${fishText(text)}`);
    }
  }
  return `# fish completion for otaflux. Made by: otaflux completion fish\n${lines.join('\n')}\n`;
}
