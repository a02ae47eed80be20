import { expect, it } from '@jest/globals';
import { execFile, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify, stripVTControlCharacters } from 'node:util';
import { expectStop, stopped } from '../support/leftovers.js';
import { hasProgram, itWith } from '../support/real-server.js';

const COLUMNS = 80;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

it('the demo shows an update arrive at three clients, prints curl lines that work, and leaves nothing behind', async () => {
  // Short, because the demo prints it.
  const folder = mkdtempSync(join(tmpdir(), 'o-'));
  const temporary = join(folder, 't');
  spawnSync('mkdir', [temporary]);
  const demo = spawn(process.execPath, ['demo/demo.mjs'], {
    cwd: ROOT,
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  expectStop(demo, () => demo.kill('SIGTERM'));
  const ended = new Promise((resolve) => demo.once('exit', resolve));
  let out = '';
  demo.stdout.on('data', (piece: Buffer) => (out += piece.toString()));
  const printed = (text: string | RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (typeof text === 'string' ? out.includes(text) : text.test(out)) resolve();
      };
      demo.stdout.on('data', look);
      demo.once('exit', () => {
        reject(new Error(`the demo ended: ${out}`));
      });
      look();
    });
  await printed('Press Ctrl-C to stop');
  const installed = (version: string): Promise<unknown> =>
    Promise.all(
      ['esp32 .*', 'arduino .*', 'hawkbit .*'].map((client) => printed(new RegExp(`${client}runs ${version}$`, 'm'))),
    );
  await installed('1.0.0');
  const commands = [...out.matchAll(/^ +(curl .*)$/gm)].map((match) => match[1] ?? '');
  expect(commands).toHaveLength(7);
  if (hasProgram('curl')) {
    for (const command of commands) {
      const { status, stdout } = spawnSync('sh', ['-c', command.replace('curl ', 'curl -fsS ')], { cwd: folder });
      expect({ command, status }).toEqual({ command, status: 0 });
      if (!command.includes('-o')) expect(stdout.length).toBeGreaterThan(10);
    }
    expect(statSync(join(folder, 'received.bin')).size).toBe(1024 * 1024);
  }
  const push = /^ +(head -c .*\n +node dist\/main\.js push .*\\\n.*)$/m.exec(out)?.[1] ?? '';
  expect(
    spawnSync('sh', ['-ec', push.replaceAll('firmware.bin', join(folder, 'firmware.bin'))], { cwd: ROOT }).status,
  ).toBe(0);
  await installed('2.0.0');
  demo.kill('SIGINT');
  expect(await ended).toBe(0);
  stopped(demo);
  // As wide as on a machine whose temporary folder has a short name.
  const lines = out.replaceAll(temporary, '/tmp').split('\n');
  expect(lines.filter((line) => line.length > COLUMNS || line.includes('\u001b'))).toEqual([]);
  expect(readdirSync(temporary)).toEqual([]);
  rmSync(folder, { recursive: true });
});

itWith(['script'], 'the demo keeps its progress apart from its lines, on a terminal of 80 columns', async () => {
  const scene = `const { Screen } = await import('./demo/screen.mjs');
    const screen = new Screen();
    screen.progress('esp32', 'downloads 1.0.0-a-version-that-is-much-longer-than-most-versions-are', 1e5, 1e6);
    screen.say('otaflux', 'now serves 1.1.0 to esp32');
    screen.progress('esp32', 'downloads 1.0.0', 1e6, 1e6);
    screen.say('broker', 'publishes a message');
    screen.endProgress();
    screen.say('esp32', 'runs 1.0.0');`;
  const command = `stty cols ${COLUMNS}; ${process.execPath} --input-type=module -e "${scene}"`;
  const { stdout } = await promisify(execFile)('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    cwd: ROOT,
    encoding: 'utf8',
    env: { ...process.env, TERM: 'xterm', FORCE_COLOR: '1', NO_COLOR: undefined, NODE_DISABLE_COLORS: undefined },
  });
  const written = stripVTControlCharacters(stdout.replaceAll('\r\u001b[K', '⌫')).replaceAll('\r', '');
  // A line shows at its end what was written since it was cleared last.
  const lines = written.trimEnd().split('\n');
  expect(lines.map((line) => line.split('⌫').at(-1))).toEqual([
    '  otaflux   now serves 1.1.0 to esp32',
    '  broker    publishes a message',
    '  esp32     runs 1.0.0',
  ]);
  const progress = written.split(/[⌫\n]/).filter((text) => text.includes('downloads'));
  expect(progress.length).toBeGreaterThan(3);
  expect(progress.filter((text) => text.length >= COLUMNS)).toEqual([]);
  expect(stdout).toContain('\u001b[34mesp32');
});
