/**
 * The main job on one machine: a folder as the registry, an MQTT broker, the service, a simulated device, and a new
 * version pushed while it waits for the broker's word. Runs until Ctrl-C; with `--once` it ends when the device has taken the second version.
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
import { Device } from './device.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MAIN = join(ROOT, 'dist', 'main.js');
const ONCE = process.argv.includes('--once');
const DEVICE = 'esp32';
const FIRMWARE_BYTES = 1024 * 1024;
const POLL_MS = 10_000;
const TOPIC = 'firmware';
/** When version 1.1.0 is pushed, counted from the first update. */
const PUSH_AFTER_MS = ONCE ? 1000 : 6000;
/** With `--once`: more than this and something is wrong. */
const ONCE_LIMIT_MS = 90_000;

const folder = mkdtempSync(join(tmpdir(), 'otaflux-demo-'));
const stop = new AbortController();
const children = new Set();
let failure;

const say = (who, what) => console.log(`  ${who.padEnd(7)} ${what}`);
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
  // 0xE9 is how an ESP image begins.
  writeFileSync(file, Buffer.concat([Buffer.from([0xe9]), randomBytes(FIRMWARE_BYTES - 1)]));
  const child = node([MAIN, 'push', DEVICE, version, file, '--registry-url', `oci:${folder}/registry`, '--json']);
  let out = '';
  child.stdout.on('data', (piece) => (out += piece));
  const [code] = await once(child, 'close');
  if (stop.signal.aborted) return;
  if (code !== 0) throw new Error(`the push of ${version} failed`);
  const pushed = JSON.parse(out);
  say(
    'push',
    `otaflux push ${DEVICE} ${version} firmware.bin → ${pushed.repository}:${pushed.tag} ${pushed.digest.slice(0, 19)}…`,
  );
}

/** An MQTT broker on a free port. */
async function startBroker() {
  const broker = await Aedes.createBroker();
  const server = createServer(broker.handle).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stop.signal.addEventListener('abort', () => (broker.close(), server.close()), { once: true });
  return server.address().port;
}

/** What a registry does after a push: tells the service, by its webhook. */
async function callWebhook(address) {
  const body = JSON.stringify({ repository: DEVICE });
  const { status } = await fetch(`http://${address}/webhooks/generic`, { method: 'POST', body });
  say('hook', `POST /webhooks/generic ${body} → ${status}`);
}

/** Starts the service on free ports and resolves to its addresses. */
async function serve(brokerPort) {
  const child = node([
    MAIN,
    ...['--registry-url', `oci:${folder}/registry`, '--refresh-interval', '5s', '--log-format', 'json'],
    ...['--mqtt-url', `mqtt://127.0.0.1:${brokerPort}`, '--mqtt-topic', TOPIC],
    ...['--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', '127.0.0.1:0'],
  ]);
  child.once('exit', (code) => {
    if (stop.signal.aborted) return;
    failure = new Error(`the service ended with ${code}`);
    stop.abort();
  });
  return new Promise((resolve, reject) => {
    child.once('exit', () => reject(failure ?? new Error('stopped')));
    createInterface({ input: child.stdout }).on('line', (text) => {
      const line = JSON.parse(text);
      if (line.event === 'server.ready') resolve(line);
      if (line.event === 'release.changed') say('server', `${line.device} is now ${line.version}`);
      if (line.level === 'error' || line.level === 'fatal') say('server', `${line.event}: ${line.reason}`);
    });
  });
}

function explain({ address, management }, brokerPort) {
  console.log(`
  Try it from another terminal:

    curl 'http://${address}/version?device=${DEVICE}'
    curl -H 'Accept: application/json' 'http://${address}/version?device=${DEVICE}'
    curl -o firmware.bin 'http://${address}/firmware?device=${DEVICE}'
    curl -s -r 0-15 'http://${address}/firmware?device=${DEVICE}' | od -c
    curl 'http://${management}/health/ready'
    curl 'http://${management}/metrics'
    curl -d '{"repository":"${DEVICE}"}' 'http://${address}/webhooks/generic'
    mosquitto_sub -h 127.0.0.1 -p ${brokerPort} -v -t '${TOPIC}/#'

  and push a version of your own:

    node dist/main.js push ${DEVICE} 2.0.0 package.json --registry-url oci:${folder}/registry
${ONCE ? '' : '\n  Ctrl-C ends it.\n'}`);
}

async function main() {
  await build();
  console.log('\n  OtaFlux demo: a folder as the registry, the server, and a device.\n');
  await push('1.0.0');
  const brokerPort = await startBroker();
  const ready = await serve(brokerPort);
  say('server', `devices on http://${ready.address}, metrics on http://${ready.management} (${ready.ms} ms)`);
  explain(ready, brokerPort);
  const device = new Device(`http://${ready.address}`, DEVICE, (what) => say('device', what));
  let told = true;
  let wake = () => undefined;
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${brokerPort}`);
  stop.signal.addEventListener('abort', () => client.end(true), { once: true });
  client.on('message', (topic, payload) => {
    say('mqtt', `${topic} ${payload}`);
    told = true;
    wake();
  });
  await client.subscribeAsync(`${TOPIC}/${DEVICE}`, { qos: 1 });
  let updates = 0;
  for (let pushed = false, pushAtMs = Infinity; !stop.signal.aborted;) {
    if (told) {
      told = false;
      if (await device.check()) {
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
    // Until the broker has something to say; and now and then without it, as devices do.
    const waitMs = pushed ? POLL_MS : Math.min(POLL_MS, Math.max(pushAtMs - performance.now(), 0));
    await Promise.race([sleep(waitMs), new Promise((resolve) => (wake = resolve))]);
    told ||= waitMs === POLL_MS;
  }
}

for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => stop.abort());
const limit = ONCE
  ? setTimeout(() => ((failure = new Error('it took too long')), stop.abort()), ONCE_LIMIT_MS)
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
if (failure) console.error(`  demo    ${failure.message}`);
else console.log('\n  demo    done, everything is cleaned up');
process.exit(failure ? 1 : 0);
