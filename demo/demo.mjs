/**
 * Shows an update on one machine: a folder as the registry, an MQTT broker, OtaFlux, and three simulated clients that take
 * the same push: one with two requests of its own, Arduino's HTTPUpdate, and hawkBit DDI. They install 1.0.0 and then
 * 1.1.0. Runs until Ctrl-C. With `--once`, it ends when all of them run the second version.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Aedes } from 'aedes';
import mqtt from 'mqtt';
import { ArduinoClient, DdiClient } from './clients.mjs';
import { Device } from './device.mjs';
import { megabytes, Screen } from './screen.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MAIN = join(ROOT, 'dist', 'main.js');
const ONCE = process.argv.includes('--once');
const DEVICE = 'esp32';
const FIRMWARE_BYTES = 1024 * 1024;
const POLL_MS = 10_000;
const TOPIC = 'firmware';
/** Time from the first update until version 1.1.0 is pushed. */
const PUSH_AFTER_MS = ONCE ? 1000 : 6000;
/** With `--once`, the demo fails after this time. */
const ONCE_LIMIT_MS = 90_000;

const folder = mkdtempSync(join(tmpdir(), 'otaflux-demo-'));
const stop = new AbortController();
const children = new Set();
let failure;

const screen = new Screen();
const say = (who, what) => screen.say(who, what);
const sleep = (ms) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    stop.signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });

function node(args, options = {}) {
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'], ...options });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

async function build() {
  const [code] = await once(node(['scripts/build.mjs', '--if-changed'], { stdio: 'inherit' }), 'exit');
  if (code !== 0) throw new Error('the build failed');
}

async function push(version) {
  const file = join(folder, 'firmware.bin');
  // ESP images begin with 0xE9.
  writeFileSync(file, Buffer.concat([Buffer.from([0xe9]), randomBytes(FIRMWARE_BYTES - 1)]));
  say('you', `run otaflux push ${DEVICE} ${version} firmware.bin`);
  const args = [MAIN, 'push', DEVICE, version, file, '--registry-url', `oci:${folder}/registry`, '--json'];
  // Without a terminal it shows no progress, which lines of the demo could run into.
  const child = node(args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, errors] = ['', ''];
  child.stdout.on('data', (piece) => (out += piece));
  child.stderr.on('data', (piece) => (errors += piece));
  const [code] = await once(child, 'close');
  if (stop.signal.aborted) return;
  if (code !== 0) throw new Error(`the push of ${version} failed: ${errors.trim()}`);
  const { repository, tag, digest } = JSON.parse(out);
  say('registry', `stores ${repository}:${tag} (${megabytes(FIRMWARE_BYTES)}, ${digest.slice(0, 19)}…)`);
}

/** Starts an MQTT broker on a free port. Resolves to the port. */
async function startBroker() {
  const broker = await Aedes.createBroker();
  const server = createServer(broker.handle).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stop.signal.addEventListener('abort', () => (broker.close(), server.close()), { once: true });
  return server.address().port;
}

/** Calls the webhook of OtaFlux, as a registry does after a push. */
async function callWebhook(address) {
  const body = JSON.stringify({ repository: DEVICE });
  const { status } = await fetch(`http://${address}/webhooks/generic`, { method: 'POST', body });
  say('registry', `calls POST /webhooks/generic ${body} → ${status}`);
}

/** Starts OtaFlux on free ports. Resolves to its addresses. */
async function serve(brokerPort) {
  const child = node([
    MAIN,
    ...['--registry-url', `oci:${folder}/registry`, '--refresh-interval', '5s', '--log-format', 'json'],
    ...['--mqtt-url', `mqtt://127.0.0.1:${brokerPort}`, '--mqtt-topic', TOPIC],
    ...['--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', '127.0.0.1:0'],
  ]);
  child.once('exit', (code) => {
    if (stop.signal.aborted) return;
    failure = new Error(`OtaFlux ended with exit code ${code}`);
    stop.abort();
  });
  return new Promise((resolve, reject) => {
    child.once('exit', () => reject(failure ?? new Error('stopped')));
    createInterface({ input: child.stdout }).on('line', (text) => {
      const line = JSON.parse(text);
      if (line.event === 'server.ready') resolve(line);
      if (line.event === 'release.changed') say('otaflux', `now serves ${line.version} to ${line.device}`);
      if (line.level === 'error' || line.level === 'fatal') say('otaflux', `${line.event}: ${line.reason}`);
    });
  });
}

function explain({ address, management }, brokerPort) {
  screen.print(`
  Try it in another terminal:

  curl 'http://${address}/version?device=${DEVICE}'
  curl -H Accept:application/json 'http://${address}/version?device=${DEVICE}'
  curl -o received.bin 'http://${address}/firmware?device=${DEVICE}'
  curl -s -r 0-15 'http://${address}/firmware?device=${DEVICE}' | od -c
  curl 'http://${management}/health/ready'
  curl 'http://${management}/metrics'
  curl -d '{"repository":"${DEVICE}"}' 'http://${address}/webhooks/generic'
  mosquitto_sub -h 127.0.0.1 -p ${brokerPort} -v -t '${TOPIC}/#'

  Push a version of your own, in the folder of this project:

  head -c 500000 /dev/urandom > firmware.bin
  node dist/main.js push ${DEVICE} 2.0.0 firmware.bin \\
    --registry-url oci:${folder}/registry
${ONCE ? '' : '\n  Press Ctrl-C to stop.\n'}`);
}

async function main() {
  await build();
  screen.print('\n  OtaFlux demo: a folder as the registry, an MQTT broker, and three clients.\n');
  await push('1.0.0');
  const brokerPort = await startBroker();
  const ready = await serve(brokerPort);
  say('otaflux', `listens on http://${ready.address} for devices`);
  say('otaflux', `listens on http://${ready.management} for metrics and operators`);
  explain(ready, brokerPort);
  const device = new Device(`http://${ready.address}`, DEVICE, screen);
  const others = [ArduinoClient, DdiClient].map((Client) => new Client(`http://${ready.address}`, DEVICE, screen));
  let isDue = true;
  let wake = () => undefined;
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${brokerPort}`);
  stop.signal.addEventListener('abort', () => client.end(true), { once: true });
  client.on('message', (topic, payload) => {
    say('broker', `publishes ${topic} ${payload}`);
    isDue = true;
    wake();
  });
  await client.subscribeAsync(`${TOPIC}/${DEVICE}`, { qos: 1 });
  let updates = 0;
  for (let pushed = false, pushAtMs = Infinity; !stop.signal.aborted;) {
    if (isDue) {
      isDue = false;
      if (await device.check()) {
        for (const client of others) await client.check();
        updates++;
        if (updates === 1) pushAtMs = performance.now() + PUSH_AFTER_MS;
        if (updates === 2 && ONCE) return;
      }
    }
    if (!pushed && performance.now() >= pushAtMs) {
      pushed = true;
      await push('1.1.0');
      await callWebhook(ready.address);
    }
    // The device waits for a message, and also asks from time to time.
    const waitMs = pushed ? POLL_MS : Math.min(POLL_MS, Math.max(pushAtMs - performance.now(), 0));
    await Promise.race([sleep(waitMs), new Promise((resolve) => (wake = resolve))]);
    isDue ||= waitMs === POLL_MS;
  }
}

for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => stop.abort());
const limit = ONCE
  ? setTimeout(
      () => ((failure = new Error(`the clients do not run 1.1.0 after ${ONCE_LIMIT_MS / 1000} s`)), stop.abort()),
      ONCE_LIMIT_MS,
    )
  : undefined;
try {
  await Promise.race([main(), once(stop.signal, 'abort')]);
} catch (error) {
  failure ??= error;
} finally {
  clearTimeout(limit);
  stop.abort();
  await Promise.all([...children].map((child) => (child.kill('SIGTERM'), once(child, 'exit'))));
  rmSync(folder, { recursive: true, force: true });
}
screen.endProgress();
if (failure) console.error(`  demo failed: ${failure.message}`);
else screen.print('\n  The demo has stopped and deleted its temporary files.');
process.exit(failure ? 1 : 0);
