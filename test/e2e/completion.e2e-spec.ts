import { beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { run } from '../support/cli.js';
import { hasProgram, itWith } from '../support/real-server.js';

/** Nobody must install these shells, not even CI. */
const itIfThere = (shell: string, name: string, test: () => Promise<void>): void => {
  (hasProgram(shell) ? it : it.skip)(`${name}${hasProgram(shell) ? '' : ` (skipped: no ${shell} here)`}`, test);
};

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
    expect(offered('otaflux', 'push', 'esp32', '1.0.0', 'package.j')).toEqual(['package.json']);
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
    const fish = (line: string): string => {
      const call = `${script}\ncomplete -C '${line}'`;
      return spawnSync('fish', ['--no-config', '-c', call], { encoding: 'utf8' }).stdout;
    };
    expect(fish('otaflux de')).toMatch(/^delete\t/);
    expect(fish('otaflux delete --y')).toMatch(/^--yes\t/);
    expect(fish('otaflux completion ')).toContain('zsh');
  });

  it('refuses another shell', async () => {
    const { code, stderr } = await run(['completion', 'tcsh']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^otaflux: .*bash, zsh or fish/);
  });
});
