import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

/**
 * Runs the command on a terminal, by `script` of util-linux, and types an answer whenever the output ends in the next
 * question. Resolves to all that the terminal showed, and the exit code.
 */
export async function answering(
  args: readonly string[],
  answers: readonly (readonly [question: string, answer: string])[],
  cwd?: string,
): Promise<{ code: number | null; shown: string }> {
  const { PATH = '', HOME = '' } = process.env;
  const quoted = [process.execPath, MAIN, ...args].map((word) => `'${word}'`).join(' ');
  const child = spawn('script', ['-qefc', `stty cols 80 -echo; ${quoted}`, '/dev/null'], {
    env: { PATH, HOME, TERM: 'dumb' },
    cwd,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const left = [...answers];
  let shown = '';
  let asked = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    shown += piece;
    asked += piece;
    const [next] = left;
    if (next === undefined || !asked.includes(next[0])) return;
    left.shift();
    asked = '';
    child.stdin.write(`${next[1]}\n`);
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  // eslint-disable-next-line no-control-regex
  return { code, shown: shown.replaceAll('\r', '').replaceAll(/\u001B\[[0-9;?]*[A-Za-z]/g, '') };
}
