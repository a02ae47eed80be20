/**
 * `npm run bench`: `/version` and `/firmware` beside bare node:http with the same bytes, the poll of each protocol beside
 * `/version`, in turns in one run, and what the service needs to start and to idle. Machines differ and are noisy: the ratios are what counts.
 * `--seconds N` sets the length of one turn (1), `--turns N` their number (15).
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { hasWrk, median, requestsPerSecond } from './load.mjs';
import { pushPlan } from './plan.mjs';
import { menderArtifact, pollsOf, PRODUCT, VERSION } from './polls.mjs';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '1' }, turns: { type: 'string', default: '15' } },
});
const seconds = Number(values.seconds);
const turns = Number(values.turns);

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const BARE = fileURLToPath(new URL('bare-server.mjs', import.meta.url));
const SIGNED = fileURLToPath(new URL('../test/fixtures/layouts', import.meta.url));
const KEY = fileURLToPath(new URL('../test/fixtures/keys/cosign.pub', import.meta.url));
const FIRMWARE_BYTES = 1024 * 1024;
/** Requests answered before anything is measured, so that both are compiled. */
const WARM_UP_SECONDS = 1;

const folder = mkdtempSync(join(tmpdir(), 'otaflux-bench-'));
const firmware = join(folder, 'firmware.bin');
writeFileSync(firmware, randomBytes(FIRMWARE_BYTES));
const children = [];

function start(args) {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const ready = new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`${args[0]} ended with ${code}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const parsed = JSON.parse(line);
      if (parsed.address) resolve({ ...parsed, pid: child.pid });
    });
  });
  return ready;
}

async function push(product, version, file, more = []) {
  const args = ['push', product, version, file, '--registry-url', `oci:${folder}/r`, ...more];
  const child = spawn(process.execPath, [MAIN, ...args]);
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error('push failed');
}

function rssMb(pid) {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
  } catch {
    return NaN;
  }
}

function compare(name, path, ours, bare, other = 'bare', otherPath = path) {
  return compareRequests(name, [`http://${ours}${path}`], [`http://${bare}${otherPath}`], other);
}

/** Compares two requests. Each is a URL, and headers if it needs any. */
async function compareRequests(name, one, another, other) {
  const both = [one, another];
  const rate = ([url, headers], duration) => requestsPerSecond(url, duration, headers);
  for (const each of both) await rate(each, WARM_UP_SECONDS);
  const rates = [[], []];
  for (let turn = 0; turn < turns; turn++)
    // The first of a pair finds another machine than the second: they take turns at it.
    for (const i of turn % 2 ? [1, 0] : [0, 1]) rates[i].push(await rate(both[i], seconds));
  const ratios = rates[0].map((rate, i) => rate / rates[1][i]);
  const round = (list) => Math.round(median(list)).toLocaleString('en').padStart(8);
  console.log(
    `${name.padEnd(19)} ${round(rates[0])} req/s, ${other} ${round(rates[1])} req/s, ratio ${median(ratios).toFixed(2)}` +
      ` (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})`,
  );
}

try {
  await push('bench', '1.0.0', firmware);
  // Limits count and refuse nothing.
  const limits = ['--address-rate-limit', '999999999/s', '--device-rate-limit', '999999999/s'];
  const ours = await start([
    MAIN,
    ...['--registry-url', `oci:${folder}/r`, '--log-format', 'json', ...limits],
    ...['--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', '127.0.0.1:0'],
  ]);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  console.log(`start to ready      ${ours.ms} ms`);
  console.log(`idle RSS            ${rssMb(ours.pid).toFixed(0)} MB`);
  const version = await (await fetch(`http://${ours.address}/version?device=bench`)).text();
  const bare = await start([BARE, JSON.stringify({ version, firmware })]);
  console.log(`load by             ${hasWrk ? 'wrk' : 'autocannon'}, ${turns} turns of ${seconds} s each, medians`);
  await compare('/version', '/version?device=bench', ours.address, bare.address);
  const keyed = await start([
    MAIN,
    ...['--registry-url', `oci:${SIGNED}`, '--cosign-pub-key-path', KEY, '--log-format', 'json', ...limits],
    ...['--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', '127.0.0.1:0'],
  ]);
  const open = await start([
    MAIN,
    ...['--registry-url', `oci:${SIGNED}`, '--log-format', 'json', ...limits],
    ...['--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', '127.0.0.1:0'],
  ]);
  await compare('/version with a key', '/version?device=signed-bundle', keyed.address, open.address, 'without');
  const unlimited = await start([
    MAIN,
    ...['--registry-url', `oci:${folder}/r`, '--log-format', 'json'],
    ...['--address-rate-limit', '0', '--device-rate-limit', '0'],
    ...['--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', '127.0.0.1:0'],
  ]);
  // As young as the other.
  const limited = await start([
    MAIN,
    ...['--registry-url', `oci:${folder}/r`, '--log-format', 'json', ...limits],
    ...['--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', '127.0.0.1:0'],
  ]);
  await compare('/version with limits', '/version?device=bench', limited.address, unlimited.address, 'without');
  const artifact = join(folder, 'board.mender');
  writeFileSync(artifact, menderArtifact(randomBytes(FIRMWARE_BYTES)));
  await push(PRODUCT, VERSION, artifact, ['--annotation', 'vnd.otaflux.chip-family=ESP32']);
  const fleet = await start([
    MAIN,
    ...['--registry-url', `oci:${folder}/r`, '--log-format', 'json', ...limits],
    ...['--state-dir', join(folder, 'state'), '--mender-accept', 'first-use'],
    ...['--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', '127.0.0.1:0'],
  ]);
  const plain = [`http://${fleet.address}/version?device=${PRODUCT}`];
  for (const [name, path, headers] of await pollsOf(fleet.address))
    await compareRequests(`poll, ${name}`, [`http://${fleet.address}${path}`, headers], plain, 'without a unit');
  await push('planned', '1.0.0', firmware);
  await push('planned', '2.0.0', firmware);
  pushPlan(join(folder, 'r', 'planned'));
  const unit = (product) => `/version?device=${product}&unit=SN-1&running=0.9.0`;
  // Both are answered by the same server, with a unit that it has seen.
  await compare('/version with a plan', unit('planned'), fleet.address, fleet.address, 'without', unit('bench'));
  await compare('/firmware, 1 MiB', '/firmware?device=bench', ours.address, bare.address);
  console.log(`RSS after it        ${rssMb(ours.pid).toFixed(0)} MB`);
} finally {
  for (const child of children) child.removeAllListeners('exit').kill('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
}
process.exit(process.exitCode ?? 0);
