import { expect, it } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expectStop, stopped } from '../support/leftovers.js';
import { hasProgram } from '../support/real-server.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

it('the demo shows an update arrive, prints curl lines that work, and leaves nothing behind', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-demo-test-'));
  const temporary = join(folder, 'tmp');
  spawnSync('mkdir', [temporary]);
  const demo = spawn(process.execPath, ['demo/demo.mjs'], {
    cwd: ROOT,
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  expectStop(demo, () => demo.kill('SIGTERM'));
  const ended = new Promise((resolve) => demo.once('exit', resolve));
  let out = '';
  const printed = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (piece?: Buffer): void => {
        out += piece?.toString() ?? '';
        if (out.includes(text)) resolve();
      };
      demo.stdout.on('data', look);
      demo.once('exit', () => {
        reject(new Error(`the demo ended: ${out}`));
      });
      look();
    });
  await printed('Ctrl-C ends it');
  await printed('reboot');
  const commands = [...out.matchAll(/^ +(curl .*)$/gm)].map((match) => match[1] ?? '');
  expect(commands).toHaveLength(7);
  if (hasProgram('curl')) {
    for (const command of commands) {
      const { status, stdout } = spawnSync('sh', ['-c', command.replace('curl ', 'curl -fsS ')], { cwd: folder });
      expect({ command, status }).toEqual({ command, status: 0 });
      if (!command.includes('-o')) expect(stdout.length).toBeGreaterThan(10);
    }
    expect(statSync(join(folder, 'firmware.bin')).size).toBe(1024 * 1024);
  }
  const push = (/^ +(node dist\/main\.js push .*)$/m.exec(out)?.[1] ?? '').split(' ').slice(1);
  expect(spawnSync(process.execPath, push, { cwd: ROOT }).status).toBe(0);
  await printed('runs 2.0.0');
  demo.kill('SIGINT');
  expect(await ended).toBe(0);
  stopped(demo);
  expect(readdirSync(temporary)).toEqual([]);
  rmSync(folder, { recursive: true });
}, 180_000);
