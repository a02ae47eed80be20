import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { hasProgram } from '../support/real-server.js';
import { problemsOf } from './checks.js';
import { Machine } from './machine.js';
import { blocksOf } from './page.js';
import { promisesOf, shows } from './promises.js';

const problems = (language: string, text: string, mark = ''): Promise<string[]> =>
  problemsOf(blocksOf('x.md', `${mark}\n\`\`\`${language}\n${text}\n\`\`\`\n`)[0]!);
type Wrong = readonly [language: string, text: string, problem: string];
const where = (program: string, ...wrong: Wrong[]): readonly Wrong[] => (hasProgram(program) ? wrong : []);

describe('a block', () => {
  it.each([
    [
      'sh',
      'otaflux push esp32 1.0.0 firmware.bin --registry-url oci:./registry && WATCH=all otaflux --log-level=debug &',
    ],
    ['sh', "npx otaflux --notify 'http://x/?a=1&b=2' --notify-secret-file ./secret | grep ready   # --nothing"],
    ['yaml', 'refresh-interval: 1m\nwebhook-secret-file: ./secret'],
    ['yaml', 'otaflux: { repositoryPrefix: firmware/ }\nreplicaCount: 2'],
    ['yaml', '- alert: Late\n  expr: up == 0'],
    ['yaml', 'apiVersion: v1\nkind: Secret\nmetadata: { name: x }\nstringData: { A: b }'],
    ['json', '{ "a": [1] }'],
    ['ts', "import { Notifier } from 'otaflux';\nexport const names: string[] = [Notifier.name];"],
    ['js', "import { OtaError } from 'otaflux';\nexport default (a) => new OtaError('absent', a);"],
    ['python', 'print(1)'],
    [
      'nginx',
      'ssl_verify_client on;\nssl_client_certificate /etc/nginx/ca.crt;\nproxy_pass http://otaflux:8080;'.replace(
        /\nproxy.*/,
        '',
      ),
    ],
    ['text', 'anything'],
  ])(
    'in %s that is right has no problem: %s',
    async (language, text) => {
      expect(await problems(language, text)).toEqual([]);
    },
    60_000,
  );

  it.each([
    ['sh', 'if true; then', 'syntax error'],
    ['sh', 'otaflux push esp32 1.0.0 a.bin --registry oci:.', 'otaflux push: there is no --registry'],
    ['sh', 'SECRET=1 otaflux --refresh-intervall 1s', 'there is no --refresh-intervall'],
    ['sh', 'true && otaflux pusch a 1.0.0 b', 'otaflux has no command pusch'],
    ['yaml', 'a: [', 'Flow'],
    ['yaml', 'refresh-interval: soon', 'refresh-interval'],
    ['json', '{ a: 1 }', 'SyntaxError'],
    [
      'ts',
      "import { Notifyer } from 'otaflux';\nexport const names = Notifyer;",
      'line 1: \'"otaflux"\' has no exported member',
    ],
    ['ts', 'export class Own extends Notifier {}', "line 1: Cannot find name 'Notifier'"],
    ['js', 'export default {', "'}' expected"],
    ['rust', 'fn main() {}', 'nobody checks rust'],
    ...where('helm', ['yaml', 'replicaCount: many\notaflux: {}', 'replicaCount']),
    ...where('promtool', ['yaml', "groups: [{ name: a, rules: [{ alert: A, expr: 'up ==' }] }]", 'parse error']),
    ...where('kubeconform', ['yaml', 'apiVersion: v1\nkind: Secret\ndatas: {}', 'datas']),
    ...where('python3', ['python', 'print(', 'SyntaxError']),
    ...where('nginx', ['nginx', 'ssl_verify_clients on;', 'unknown directive']),
  ] satisfies Wrong[])(
    'in %s that is wrong is named: %s',
    async (language, text, problem) => {
      expect((await problems(language, text)).join('\n')).toContain(problem);
    },
    60_000,
  );

  it('in a language that nobody checks needs a mark', async () => {
    expect(await problems('cpp', 'int a;', '<!-- not run: needs a board -->')).toEqual([]);
    expect(await problems('cpp', 'int a;', '<!-- runs in test/docs/x.ts -->')).toEqual([]);
  });
});

describe('what a page says that a command prints', () => {
  it('is found in its output, in whole lines', () => {
    const output = 'one\n\u001b[32mtwo\u001b[0m 2\r 50 %\nthree\n';
    for (const text of ['one', 'two 2', 'two …', 'one\ntwo 2', 'one\n…\nthree', '…\nthree\n'])
      expect(output).toEqual(shows(text));
    for (const text of ['on', 'two', 'one\nthree', 'o.e', 'two …\ntwo …']) expect(output).not.toEqual(shows(text));
  });

  it('is a comment on a line of its own', () => {
    expect(promisesOf('#!/bin/sh\ncurl x  # a remark\n# {"queued":1}\n  # no\n')).toEqual(['{"queued":1}']);
  });
});

describe('the shell of a page', () => {
  let machine: Machine;
  beforeAll(async () => {
    machine = await Machine.start();
  });
  afterAll(() => machine.stop());

  it('keeps folder, variables and aliases from block to block, as a terminal does', async () => {
    await machine.run('mkdir a && cd a\nexport X=1\nalias hello="echo hello"');
    expect(await machine.run('hello $X; basename "$PWD"')).toEqual({ status: 0, output: 'hello 1\na\n' });
  });

  it('has an empty home, the firmware of the reader, and no more programs than the documentation asks for', async () => {
    await machine.run('cd "$HOME"');
    expect((await machine.run('ls; wc -c < firmware.bin; node --version')).output).toBe(
      `a\nfirmware.bin\n50000\n${process.version}\n`,
    );
    expect((await machine.run('command -v docker kubectl python3 || echo none')).output).toBe('none\n');
  });

  it('takes files of the page, and lets a server run until the next one', async () => {
    await machine.write('server.mjs', 'setInterval(() => console.log(process.argv[2]), 50);');
    expect((await machine.run('node server.mjs first', { until: 'first' })).status).toBe(0);
    const second = await machine.run('echo one; node \\\n  server.mjs second', { until: 'second' });
    expect(second).toEqual({ status: 0, output: expect.stringMatching(/^one\nsecond$/m) });
    expect((await machine.run('node -e "process.exit(3)"', { until: 'never' })).status).toBe(1);
  });

  it('lives on behind a block that fails as it should', async () => {
    await machine.run('alias goodbye="echo goodbye; false"');
    const failing = await machine.run('goodbye; echo not reached', { fails: true });
    expect(failing).toEqual({ status: 1, output: 'goodbye\n' });
    expect((await machine.run('true', { fails: true })).status).toBe(0);
    expect((await machine.run('echo here')).output).toBe('here\n');
  });

  it('ends at the first command that fails, or at a variable that nobody has set', async () => {
    for (const script of ['false; echo not reached', 'echo "not reached $NOT_SET"', 'sh -c "exit 5" | true']) {
      const other = await Machine.start();
      const { status, output } = await other.run(script);
      await other.stop();
      expect({ failed: status !== 0, output }).toEqual({
        failed: true,
        output: expect.not.stringContaining('not reached'),
      });
    }
  });
});
