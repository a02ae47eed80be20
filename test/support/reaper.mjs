/**
 * Ends what a test run leaves behind: `node reaper.mjs RUN FOLDER`. Waits until its standard input ends, which it does when
 * Jest has ended, however that came about. Then kills every process that has the run's id in its environment, and removes
 * the run's folder of temporary files. Knows processes by /proc, so it does nothing but the latter where there is none.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const [, , run, folder] = process.argv;
const mark = `\0TEST_RUN_ID=${run}\0`;
const MAX_ROUNDS = 200;

function marked() {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
      .filter(hasMark)
      .map(Number);
  } catch {
    return [];
  }
}

function hasMark(pid) {
  try {
    return `\0${readFileSync(`/proc/${pid}/environ`, 'utf8')}`.includes(mark);
  } catch {
    // Ended meanwhile, or of somebody else.
    return false;
  }
}

process.stdin.resume();
await new Promise((resolve) => process.stdin.once('close', resolve));
// A process may be starting another one while it is killed.
for (let round = 0; round < MAX_ROUNDS; round++) {
  const pids = marked();
  if (pids.length === 0) break;
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Ended by itself.
    }
  }
  await sleep(25);
}
rmSync(folder, { recursive: true, force: true });
