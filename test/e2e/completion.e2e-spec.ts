import { beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { flagOf, optionOf, VARIABLES } from '../../src/config/index.js';
import { run } from '../support/cli.js';
import { hasProgram, itWith } from '../support/real-server.js';

/** Nobody must install these shells, not even CI. */
const itIfThere = (shell: string, name: string, test: () => Promise<void>): void => {
  (hasProgram(shell) ? it : it.skip)(`${name}${hasProgram(shell) ? '' : ` (skipped: no ${shell} here)`}`, test);
};

/** The options of the server whose values are a fixed set of words. */
const ENUMERATIONS = VARIABLES.map((variable) => ({
  flag: `--${flagOf(variable)}`,
  choices: /^one of (.+)$/.exec(optionOf(variable).kind.takes)?.[1]?.split(', ') ?? [],
})).filter(({ choices }) => choices.length > 0);

describe('otaflux completion', () => {
  let bash = '';
  beforeAll(async () => {
    bash = (await run(['completion', 'bash'])).stdout;
  });
  /** What bash offers behind `words`, the last of which is not complete. */
  const offered = (...words: string[]): string[] => {
    const line = `${bash}\nCOMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}\n_otaflux; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr, status } = spawnSync('bash', ['--norc', '-u', '-c', line], { encoding: 'utf8' });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    return stdout.trim().split('\n');
  };

  itWith(['bash'], 'offers commands, options and choices in bash', () => {
    expect(offered('otaflux', '')).toEqual(expect.arrayContaining(['serve', 'push', 'list', 'delete', 'help']));
    expect(offered('otaflux', 'de')).toEqual(['delete']);
    expect(offered('otaflux', 'delete', '--y')).toEqual(['--yes']);
    expect(offered('otaflux', 'list', 'esp32', '--registry-u')).toEqual(['--registry-url', '--registry-username']);
    expect(offered('otaflux', '--log-f')).toEqual(['--log-format']);
    expect(offered('otaflux', 'serve', '--log-format', '')).toEqual(['json', 'pretty']);
    expect(offered('otaflux', 'completion', '')).toEqual(['bash', 'zsh', 'fish']);
    expect(offered('otaflux', 'help', 'pu')).toEqual(['push']);
    expect(offered('otaflux', 'rollout', 'st')).toEqual(['start', 'status']);
    expect(offered('otaflux', 'rollout', 'start', '--sta')).toEqual(['--stages', '--starts']);
    expect(offered('otaflux', 'plan', 'push', '--sign-form', '')).toEqual(['bundle', 'legacy']);
    expect(offered('otaflux', 'push', 'esp32', '1.0.0', 'package.j')).toEqual(['package.json']);
  });

  itWith(['bash'], 'offers the values of every option with a fixed set of them in bash', () => {
    for (const { flag, choices } of ENUMERATIONS) {
      expect({ flag, offered: offered('otaflux', 'serve', flag, '') }).toEqual({ flag, offered: choices });
      expect({ flag, offered: offered('otaflux', flag, '=') }).toEqual({ flag, offered: choices });
    }
    expect(offered('otaflux', '--log-level', 'd')).toEqual(['debug']);
    expect(offered('otaflux', 'serve', '--log-level', '=', 'd')).toEqual(['debug']);
    expect(offered('otaflux', 'serve', '--checksum', 'crc3')).toEqual(['crc32', 'crc32c', 'crc32mpeg2']);
    expect(offered('otaflux', 'serve', '--config', '=', 'package.j')).toEqual(['package.json']);
  });

  itIfThere('zsh', 'offers the values of every option with a fixed set of them in zsh', async () => {
    const script = (await run(['completion', 'zsh'])).stdout;
    // What the line becomes by the Tab key in an interactive zsh on a terminal of its own.
    const typed = `
      zmodload zsh/zpty
      zpty z zsh -f -i
      zpty -w z 'autoload -U compinit; compinit -D -u; eval "$SCRIPT"; PS1=; setopt no_beep no_auto_list'
      zpty -w z 'show() { print -r -- "<<\${BUFFER}>>"; BUFFER= }; zle -N show; bindkey "^T" show; print -r -- "rea""dy"'
      zpty -r z seen '*ready*'
      for line in "$@"; do
        zpty -w -n z "$line"$'\\t\\x14'
        zpty -r z seen '*<<*>>*'
        print -r -- "\${\${seen##*<<}%%>>*}"
      done`;
    const cases = ENUMERATIONS.flatMap(({ flag, choices }) =>
      choices.flatMap((word) => {
        // The shortest beginning that no other word has.
        const length = Array.from(word).findIndex(
          (_letter, index) => choices.filter((other) => other.startsWith(word.slice(0, index + 1))).length === 1,
        );
        const start = length === -1 ? undefined : word.slice(0, length + 1);
        if (start === undefined) return [];
        return [` ${flag} `, ` serve ${flag}=`].map(
          (before) => [`otaflux${before}${start}`, `otaflux${before}${word}`] as const,
        );
      }),
    );
    const { stdout, stderr } = spawnSync('zsh', ['-f', '-c', typed, 'zsh', ...cases.map(([line]) => line)], {
      encoding: 'utf8',
      env: { ...process.env, SCRIPT: script, TERM: 'dumb' },
      timeout: 60_000,
    });
    expect(stderr).toBe('');
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.trim()),
    ).toEqual(cases.map(([, line]) => line));
  });

  itIfThere('zsh', 'is a script that zsh accepts', async () => {
    const script = (await run(['completion', 'zsh'])).stdout;
    const { stdout, stderr, status } = spawnSync(
      'zsh',
      ['-f', '-c', `autoload -U compinit; compinit -D -u; eval "$1"; print $_comps[otaflux]`, 'zsh', script],
      { encoding: 'utf8' },
    );
    expect({ stdout, stderr, status }).toEqual({ stdout: '_otaflux\n', stderr: '', status: 0 });
  });

  itIfThere('fish', 'offers commands, options and choices in fish', async () => {
    const script = (await run(['completion', 'fish'])).stdout;
    // From a file: the script is longer than one argument may be.
    const file = join(mkdtempSync(join(tmpdir(), 'otaflux-fish-')), 'otaflux.fish');
    writeFileSync(file, script);
    const fish = (line: string): string =>
      spawnSync('fish', ['--no-config', '-c', `source ${file}\ncomplete -C '${line}'`], { encoding: 'utf8' }).stdout;
    expect(fish('otaflux de')).toMatch(/^delete\t/);
    expect(fish('otaflux delete --y')).toMatch(/^--yes\t/);
    expect(fish('otaflux completion ')).toContain('zsh');
    for (const { flag, choices } of ENUMERATIONS)
      for (const line of [`otaflux ${flag} `, `otaflux serve ${flag} `, `otaflux serve ${flag}=`]) {
        const words = fish(line)
          .trim()
          .split('\n')
          .map((word) => (word.split('\t')[0] ?? '').replace(/^--[a-z-]+=/, ''));
        expect({ line, words: words.sort() }).toEqual({ line, words: [...choices].sort() });
      }
    expect(fish('otaflux --log-level d')).toMatch(/^debug\b/);
  });

  it('refuses another shell', async () => {
    const { code, stderr } = await run(['completion', 'tcsh']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^otaflux: .*bash, zsh or fish/);
  });
});
