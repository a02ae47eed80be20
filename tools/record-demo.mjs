/**
 * Records `npm run demo -- --once` in a terminal of 80 columns and writes docs/public/demo.svg, an animated picture of it.
 * Needs `script` (util-linux) and the packages of tools/. Run it again when the output of the demo changes.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import xterm from '@xterm/headless';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PICTURE = `${ROOT}docs/public/demo.svg`;
const COLUMNS = 80;
const ROWS = 36;
/** Longer pauses are shortened to this, so that nobody has to wait. */
const LONGEST_PAUSE_MS = 1200;
/** Frames that follow each other faster are joined. */
const SHORTEST_FRAME_MS = 120;
/** How long the last frame stays before the picture starts again. */
const LAST_FRAME_MS = 6000;
const CELL = { width: 8.4, height: 18, font: 14 };
const MARGIN = 16;
const COLOURS = ['#484f58', '#ff7b72', '#7ee787', '#e3b341', '#79c0ff', '#d2a8ff', '#76e3ea', '#c9d1d9'];

const terminal = new xterm.Terminal({ cols: COLUMNS, rows: ROWS, allowProposedApi: true });
const frames = [];

/** One line of the screen as runs of equal looks. */
function runsOf(line) {
  const runs = [];
  for (let column = 0; column < COLUMNS; column++) {
    const cell = line.getCell(column);
    const look = `${cell.isFgPalette() ? cell.getFgColor() % 8 : 7}${cell.isBold() ? 'b' : ''}${cell.isDim() ? 'd' : ''}`;
    const last = runs.at(-1);
    if (last?.look === look) last.text += cell.getChars() || ' ';
    else runs.push({ look, column, text: cell.getChars() || ' ' });
  }
  return runs.map((run) => ({ ...run, text: run.text.trimEnd() })).filter(({ text }) => text !== '');
}

function screen() {
  const { active } = terminal.buffer;
  return Array.from({ length: ROWS }, (_, row) => JSON.stringify(runsOf(active.getLine(active.baseY + row))));
}

async function record() {
  const command = `stty cols ${COLUMNS} rows ${ROWS}; npm run --silent demo -- --once`;
  const child = spawn('script', ['--quiet', '--return', '--flush', '--command', command, '/dev/null'], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TERM: 'xterm-256color', COLUMNS: String(COLUMNS), FORCE_COLOR: '1' },
  });
  await new Promise((resolve) => terminal.write('\x1b[1m$ npm run demo\x1b[0m\r\n', resolve));
  frames.push({ atMs: performance.now(), lines: screen() });
  for await (const piece of child.stdout) {
    await new Promise((resolve) => terminal.write(piece, resolve));
    const [atMs, lines] = [performance.now(), screen()];
    const last = frames.at(-1);
    if (JSON.stringify(lines) === JSON.stringify(last.lines)) continue;
    if (atMs - last.atMs < SHORTEST_FRAME_MS && frames.length > 1) last.lines = lines;
    else frames.push({ atMs, lines });
  }
  const [code] = child.exitCode === null ? await once(child, 'exit') : [child.exitCode];
  if (code !== 0) throw new Error(`the demo ended with ${code}`);
}

function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function draw() {
  const starts = [0];
  for (let i = 1; i < frames.length; i++)
    starts.push(starts[i - 1] + Math.min(frames[i].atMs - frames[i - 1].atMs, LONGEST_PAUSE_MS));
  const totalMs = starts.at(-1) + LAST_FRAME_MS;
  const [width, height] = [COLUMNS * CELL.width + 2 * MARGIN, ROWS * CELL.height + 2 * MARGIN];
  const ids = new Map();
  const symbols = [];
  const idOf = (line) => {
    if (!ids.has(line)) {
      ids.set(line, `l${ids.size}`);
      const spans = JSON.parse(line).map(({ look, column, text }) => {
        const x = (column * CELL.width).toFixed(1);
        const length = ` textLength="${(text.length * CELL.width).toFixed(1)}" lengthAdjust="spacingAndGlyphs"`;
        return `<tspan x="${x}"${text.length > 3 ? length : ''} class="c${look}">${escaped(text)}</tspan>`;
      });
      symbols.push(`<text id="${ids.get(line)}" xml:space="preserve">${spans.join('')}</text>`);
    }
    return ids.get(line);
  };
  const pictures = frames.map(({ lines }, i) => {
    const uses = lines.flatMap((line, row) =>
      line === '[]' ? [] : [`<use href="#${idOf(line)}" y="${(row + 1) * CELL.height}"/>`],
    );
    return `<g transform="translate(${i * width} 0)">${uses.join('')}</g>`;
  });
  const steps = starts.map((ms, i) => `${((ms / totalMs) * 100).toFixed(2)}%{transform:translateX(${-i * width}px)}`);
  const looks = new Set(
    frames.flatMap(({ lines }) => lines.flatMap((line) => JSON.parse(line).map(({ look }) => look))),
  );
  const classes = [...looks].map(
    (look) =>
      `.c${look}{fill:${COLOURS[Number(look[0])]}${look.includes('b') ? ';font-weight:bold' : ''}${look.includes('d') ? ';opacity:.7' : ''}}`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="The OtaFlux demo in a terminal">
<style>
text{font:${CELL.font}px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre}
${classes.join('')}
.film{animation:film ${(totalMs / 1000).toFixed(1)}s steps(1) infinite}
@keyframes film{${steps.join('')}}
@media (prefers-reduced-motion:reduce){.film{animation:none;transform:translateX(${-(frames.length - 1) * width}px)}}
</style>
<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>
<defs>${symbols.join('')}</defs>
<svg x="${MARGIN}" y="${MARGIN - 4}" width="${COLUMNS * CELL.width}" height="${height - MARGIN}"><g class="film">
${pictures.join('\n')}
</g></svg>
</svg>
`;
}

await record();
const picture = draw();
mkdirSync(new URL('../docs/public', import.meta.url), { recursive: true });
writeFileSync(PICTURE, picture);
console.log(`docs/public/demo.svg: ${frames.length} frames, ${Math.round(picture.length / 1024)} KB`);
