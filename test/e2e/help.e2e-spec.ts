import { describe, expect, it } from '@jest/globals';
import { VARIABLES, flagOf, optionOf } from '../../src/config/index.js';
import { run } from '../support/cli.js';

const lines = (text: string): string[] => text.trimEnd().split('\n');
const help = async (args: readonly string[], columns = 80): Promise<string> => {
  const { code, stdout, stderr } = await run(args, { COLUMNS: String(columns) });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
};
/** The commands that `otaflux --help` shows. */
const commandsIn = (overview: string): string[] =>
  [...overview.matchAll(/^ {2}([a-z][a-z-]*(?:, [a-z][a-z-]*)*) {2,}\S/gm)].flatMap(([, names = '']) =>
    names.split(', '),
  );

describe('otaflux --help', () => {
  it('is one screen: what it does, the commands, five examples, and where the rest is', async () => {
    const text = await help(['--help']);
    expect(lines(text).length).toBeLessThanOrEqual(24);
    expect(Math.max(...lines(text).map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(text).toMatch(/^Serves firmware to IoT devices over HTTP/);
    expect(commandsIn(text)).toEqual(
      expect.arrayContaining(['serve', 'push', 'verify', 'rollout', 'why', 'status', 'health']),
    );
    expect(text.slice(text.indexOf('Examples:')).match(/^ {2}(otaflux|curl) /gm)).toHaveLength(5);
    expect(lines(text).at(-1)).toMatch(/otaflux help COMMAND/);
  });

  it.each([['-h'], ['help']])('is what otaflux %s shows', async (word) => {
    expect(await help([word])).toBe(await help(['--help']));
  });
});

describe('otaflux help COMMAND', () => {
  it('is the same as otaflux COMMAND --help, for every command', async () => {
    for (const name of commandsIn(await help(['--help']))) {
      const text = await help(['help', name]);
      expect(text).toBe(await help([name, '--help']));
      expect(text).toMatch(new RegExp(`^Usage: otaflux ${name}( |\\n)`));
      expect(text).toMatch(/\nExamples:\n/);
      expect(text).toMatch(/\nExit codes:\n {2}0 {2,}\S/);
    }
  });

  it.each([
    ['rollout', 'start'],
    ['plan', 'push'],
    ['channel', 'set'],
  ])('shows the help of %s %s, and that of the group without it', async (group, name) => {
    expect(await help(['help', group, name])).toMatch(new RegExp(`^Usage: otaflux ${group} ${name} `));
    expect(await help([group])).toBe(await help([group, '--help']));
    expect((await run([group, `${name}x`])).stderr).toContain(`Did you mean ${name}?`);
  });

  it.each([60, 80, 120])('breaks lines between words, in %i columns', async (columns) => {
    const wide = (await help(['help', 'serve'], 1_000)).split(/\s+/);
    for (const name of ['serve', 'push', 'verify', 'sign-url', 'status']) {
      const text = await help(['help', name], columns);
      expect(lines(text).filter((line) => line.length > columns)).toEqual([]);
      if (name === 'serve')
        expect(text.split(/\s+/).filter((word) => !wide.includes(word) && word !== '\\')).toEqual([]);
    }
  });

  it('lists the options of serve under the headings of the documentation, with variable and default', async () => {
    const text = (await help(['help', 'serve'])).replaceAll(/\s+/g, ' ');
    const headings = VARIABLES.map((variable) => optionOf(variable).section).filter(Boolean);
    const places = headings.map((heading) => text.indexOf(` ${heading}: --`));
    expect(places).not.toContain(-1);
    expect(places).toEqual([...places].sort((a, b) => a - b));
    for (const variable of VARIABLES) {
      const { default: fallback, kind, help: words } = optionOf(variable);
      const flag = kind.placeholder === undefined ? `--[no-]${flagOf(variable)}` : `--${flagOf(variable)} <`;
      const entry = text.slice(text.indexOf(` ${flag}`));
      expect(entry.slice(1, 1 + flag.length)).toBe(flag);
      expect(entry).toContain(words.replaceAll('`', ''));
      if (fallback) expect(entry).toContain(`Default: ${fallback}. (${variable}`);
    }
  });
});

describe('a mistake', () => {
  it.each([
    [['pusch'], "unknown command 'pusch'. Did you mean push? See otaflux --help."],
    [['stauts', '--help'], "unknown command 'stauts'. Did you mean status? See otaflux --help."],
    [['help', 'verfy'], "unknown command 'verfy'. Did you mean verify? See otaflux --help."],
    [['firmware.bin'], "unknown command 'firmware.bin'. See otaflux --help."],
    [['push', '--forse'], "unknown option '--forse'. Did you mean --force? See otaflux help push."],
    [
      ['--registry-urll', 'x'],
      "unknown option '--registry-urll'. Did you mean --registry-url? See otaflux help serve.",
    ],
    [
      ['push', 'esp32'],
      'missing required argument \'version\', as in "otaflux push esp32 1.0.0 firmware.bin --registry-url oci:./registry". See otaflux help push.',
    ],
    [['LIST', 'esp32'], "unknown command 'LIST'. Did you mean list? See otaflux --help."],
    [['-v'], "unknown option '-v'. Did you mean --version? See otaflux help serve."],
    [
      ['list', '-registry-url', 'x'],
      "unknown option '-registry-url'. Did you mean --registry-url? See otaflux help list.",
    ],
    [['--port', '8080'], "unknown option '--port'. Did you mean --listen-addr? See otaflux help serve."],
    [['list', 'esp32', '--port=1'], "unknown option '--port=1'. See otaflux help list."],
    [['completion', 'powershell'], 'shell: got "powershell", expected bash, zsh or fish. See otaflux help completion.'],
    [['status', 'a', 'b'], /too many arguments.*See otaflux help status\./],
    [['--registry-url', 'oci:.', 'pusch'], /too many arguments.*See otaflux help serve\./],
  ])('%j is explained in one line, and ends with code 2', async (args, message) => {
    const { code, stdout, stderr } = await run(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(lines(stderr)).toHaveLength(1);
    if (typeof message === 'string') expect(stderr).toBe(`otaflux: ${message}\n`);
    else expect(stderr).toMatch(message);
  });

  it('such as the bare command is answered by what to try first', async () => {
    const { code, stdout, stderr } = await run([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^otaflux: REGISTRY_URL \(--registry-url\) is missing, .*\n/);
    expect(stderr).toContain('\n  otaflux push esp32 1.0.0 firmware.bin --registry-url oci:./registry\n');
    expect(stderr).toContain('\n  otaflux --registry-url oci:./registry\n');
    expect(stderr).toContain('otaflux --help');
    const configured = await run([], { REGISTRY_URL: 'ftp://x' });
    expect(lines(configured.stderr)).toHaveLength(1);
  });
});
