import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { megabytes } from './screen.mjs';

const DIGESTS = { md5: 'MD5', sha256: 'SHA-256' };

/** A client with a protocol of its own: it checks a digest, "restarts", and shows what it does. */
class Client {
  running;

  constructor(baseUrl, product, screen) {
    this.baseUrl = baseUrl;
    this.product = product;
    this.screen = screen;
  }

  say(what) {
    this.screen.say(this.name, what);
  }

  install(version, firmware, algorithm, expected) {
    if (createHash(algorithm).update(firmware).digest('hex') !== expected)
      throw new Error(`the ${algorithm} does not match`);
    this.running = version;
    this.say(`downloads ${megabytes(firmware.length)}, checks ${DIGESTS[algorithm]}, runs ${version}`);
  }

  /** Sends a request. Resolves to status, headers and body. */
  send(method, target, headers = {}, body = '') {
    return new Promise((resolve, reject) => {
      const url = new URL(target, this.baseUrl);
      const sent = request(
        url,
        { method, headers: { ...headers, 'Content-Length': Buffer.byteLength(body) } },
        (answer) => {
          const pieces = [];
          answer.on('data', (piece) => pieces.push(piece)).once('error', reject);
          answer.once('end', () =>
            resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(pieces) }),
          );
        },
      );
      sent.once('error', reject).end(body);
    });
  }
}

/** `HTTPUpdate` of the Arduino core for the ESP32: it asks for the firmware at once, and gets 304 if it runs it. */
export class ArduinoClient extends Client {
  name = 'arduino';

  async check() {
    const headers = {
      ...{ 'User-Agent': 'ESP32-http-Update', 'x-ESP32-STA-MAC': '24:6F:28:AA:BB:CC', 'x-ESP32-mode': 'sketch' },
      ...(this.running && { 'x-ESP32-version': this.running }),
    };
    const target = `/firmware?device=${this.product}`;
    const answer = await this.send('GET', target, headers);
    this.say(`GET ${target} (HTTPUpdate) → ${answer.status}`);
    if (answer.status !== 200) return;
    this.install(answer.headers['x-version'], answer.body, 'md5', answer.headers['x-md5']);
  }
}

/** A client of the hawkBit DDI API, such as SWUpdate or rauc-hawkbit-updater: it follows links and reports the end. */
export class DdiClient extends Client {
  name = 'hawkbit';

  async check() {
    const base = `/${this.product}/controller/v1/gateway-1`;
    const poll = await this.json(base);
    const href = poll._links?.deploymentBase?.href;
    this.say(`GET ${base} (DDI) → ${href ? 'deploymentBase' : 'no update'}`);
    if (!href) return;
    const { id, deployment } = await this.json(href);
    const [{ version, artifacts }] = deployment.chunks;
    const [{ hashes, _links: links }] = artifacts;
    const { body } = await this.send('GET', (links['download-http'] ?? links.download).href);
    this.install(version, body, 'sha256', hashes.sha256);
    const feedback = JSON.stringify({ id, status: { execution: 'closed', result: { finished: 'success' } } });
    const path = `/deploymentBase/${id}/feedback`;
    const { status } = await this.send('POST', base + path, { 'Content-Type': 'application/json' }, feedback);
    this.say(`POST …${path} "success" → ${status}`);
  }

  async json(target) {
    const { status, body } = await this.send('GET', target);
    if (status !== 200) throw new Error(`GET ${target}: ${status} ${body}`);
    return JSON.parse(body);
  }
}
