/** Random numbers that are the same for the same seed (mulberry32). */
export class Random {
  constructor(private state: number) {}

  /** Returns an integer from 0 to `below` - 1. */
  below(below: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * below);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  chance(oneIn: number): boolean {
    return this.below(oneIn) === 0;
  }

  /** Returns bytes as a string of one-byte characters. */
  bytes(length: number): string {
    return String.fromCharCode(...Array.from({ length }, () => this.below(256)));
  }

  word(length = 8): string {
    return Array.from({ length }, () => 'abcdefghijklmnopqrstuvwxyz0123456789'.charAt(this.below(36))).join('');
  }
}

/** What exists on the server, so that requests get past the first checks. */
export interface Known {
  readonly product: string;
  readonly version: string;
  readonly action: string;
  readonly deployment: string;
  readonly token: string;
  readonly login: string;
  readonly signature: string;
}

/** A request, and whether its connection can be used afterwards. */
export interface HostileRequest {
  readonly text: string;
  readonly isHead: boolean;
  /** The connection is closed by the client in the middle of the request. */
  readonly isCut: boolean;
}

const QUERY = 'device={P}&unit={U}&running={V}&hardware={H}&channel={C}';
const DDI = '/{P}/controller/v1/{U}';
const MENDER = '/api/devices/v1';

/** Every route of every protocol, with the method that its clients use. */
const REQUESTS: readonly (readonly [method: string, target: string])[] = [
  ['GET', `/version?${QUERY}`],
  ['GET', `/firmware?${QUERY}&version={V}&file={F}`],
  ['GET', '/firmware/{P}.bin?unit={U}'],
  ['POST', '/report?device={P}&unit={U}'],
  ['GET', '/esphome/{P}/manifest.json?unit={U}&running={V}'],
  ['GET', '/esphome/{P}/{V}.bin?file={F}'],
  ['GET', '/swupdate/{P}?unit={U}&running={V}&hardware={H}&id={U}&board={H}&hwrev={V}'],
  ['PUT', '/swupdate/{P}/log?unit={U}'],
  ['GET', '/swupdate/{P}/{V}.swu'],
  ['GET', '/rauc/{P}?unit={U}'],
  ['GET', '/rauc/{P}/{V}.raucb'],
  ['GET', DDI],
  ['PUT', `${DDI}/configData`],
  ['GET', `${DDI}/deploymentBase/{A}`],
  ['POST', `${DDI}/deploymentBase/{A}/feedback`],
  ['GET', `${DDI}/cancelAction/{A}`],
  ['POST', `${DDI}/cancelAction/{A}/feedback`],
  ['PUT', `${DDI}/installedBase`],
  ['GET', `${DDI}/installedBase/{A}`],
  ['GET', `${DDI}/confirmationBase`],
  ['GET', `${DDI}/confirmationBase/{A}`],
  ['POST', `${DDI}/confirmationBase/{A}/feedback`],
  ['POST', `${DDI}/confirmationBase/activateAutoConfirm`],
  ['GET', `${DDI}/softwaremodules/{A}/artifacts`],
  ['GET', `${DDI}/softwaremodules/{A}/artifacts/{F}`],
  ['GET', `${DDI}/{X}`],
  ['POST', `${MENDER}/authentication/auth_requests`],
  ['GET', `${MENDER}/deployments/device/deployments/next?device_type={P}&artifact_name={V}`],
  ['POST', `${MENDER}/deployments/device/deployments/next`],
  ['POST', '/api/devices/v2/deployments/device/deployments/next'],
  ['PUT', `${MENDER}/deployments/device/deployments/{D}/status`],
  ['PUT', `${MENDER}/deployments/device/deployments/{D}/log`],
  ['GET', `${MENDER}/deployments/device/deployments/{D}/artifact`],
  ['PATCH', `${MENDER}/inventory/device/attributes`],
  ['GET', '/health'],
  ['POST', '/webhooks/{X}'],
  ['GET', '/{X}'],
];
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'G\0T', 'get'];

/** Texts that no client sends as a name, a version or an id. */
const TEXTS: readonly ((random: Random) => string)[] = [
  (random) => random.word(),
  () => '',
  () => '%2F',
  (random) => `${random.word(3)}%2f${random.word(3)}`,
  () => '..',
  () => '../../etc/passwd',
  () => '%2e%2e%2f%2e%2e%2fetc%2fpasswd',
  () => '%00',
  (random) => `${random.word(3)}\0${random.word(3)}`,
  () => '%0d%0aX-Injected:%201',
  () => '%E0%A4%A',
  () => '%',
  () => '%C3%A4%F0%9F%92%A9',
  () => 'ä💩',
  () => '%E2%80%A8',
  (random) => 'x'.repeat(100 + random.below(5000)),
  (random) => 'a/'.repeat(random.below(200)),
  (random) => encodeURIComponent(random.bytes(20)),
  (random) => random.bytes(20).replaceAll(/[\s\0]/g, ''),
  () => '__proto__',
  () => 'constructor',
  () => "';DROP TABLE units;--",
  () => '{{7*7}}',
  () => '-1',
  () => '0',
  () => '2147483648',
  () => '1e309',
  () => '9'.repeat(300),
  () => 'NaN',
  (random) => `${random.below(1e6)}.${random.below(1e6)}.${random.below(100)}`,
  () => '&&&===',
  () => 'a=b&device=c&unit=d',
  () => '?',
  () => ';',
  () => '*',
];

const HEADERS: readonly ((random: Random, known: Known) => string)[] = [
  (random) => `User-Agent: ${random.pick(['ESP32-http-Update', 'ESP8266-http-Update', random.word()])}`,
  (random) => `x-ESP32-mode: ${random.pick(['sketch', 'spiffs', 'version', random.word()])}`,
  (random) => `x-ESP32-STA-MAC: ${random.pick(['24:6F:28:AA:BB:CC', text(random)])}`,
  (random) => `x-ESP8266-version: ${text(random)}`,
  (random) => `x-ESP32-sketch-md5: ${text(random)}`,
  (random) => `x-ESP32-free-space: ${text(random)}`,
  (random) => `RAUC-Serial: ${text(random)}`,
  (random) => `RAUC-System-Version: ${text(random)}`,
  (random) => `RAUC-Variant: ${text(random)}`,
  () => 'RAUC-Transaction-ID: x',
  (_random, { token }) => `Authorization: Bearer ${token}`,
  (random, { token }) => `Authorization: Bearer ${token.slice(0, random.below(token.length))}`,
  (random) => `Authorization: ${random.pick(['TargetToken', 'GatewayToken', 'Basic', 'Bearer', ''])} ${text(random)}`,
  (_random, { signature }) => `X-MEN-Signature: ${signature}`,
  (random) => `X-MEN-Signature: ${text(random)}`,
  (random) =>
    `Range: bytes=${random.pick(['0-0', '-0', '5-1', '0-', '-5', `${'9'.repeat(400)}-`, `${'0-0,'.repeat(500)}0-0`])}`,
  (random) => `If-None-Match: ${random.pick(['*', '"', `${'"x",'.repeat(500)}"y"`])}`,
  (random) => `If-Range: ${text(random)}`,
  (random) => `Host: ${text(random)}`,
  (random) => `Accept: ${random.pick(['application/json', 'application/cbor', text(random)])}`,
  (random) => `Origin: ${text(random)}`,
  (random) => `X-Forwarded-For: ${text(random)}`,
  (random) => `X-${random.word()}: ${'v'.repeat(random.below(4000))}`,
  () => 'Expect: 100-continue',
  () => 'Expect: a-miracle',
  () => 'Upgrade: websocket\r\nConnection: Upgrade',
  () => 'Content-Encoding: gzip',
];

const BODIES: readonly ((random: Random, known: Known) => string)[] = [
  () => '',
  () => '{}',
  () => 'null',
  () => '[]',
  () => '"text"',
  () => '{"a":',
  (random) => random.bytes(random.below(2000)),
  () => '['.repeat(30_000),
  () => `${'{"a":'.repeat(8_000)}1${'}'.repeat(8_000)}`,
  () => `{"x":"${'y'.repeat(70_000)}"}`,
  () => '{"__proto__":{"outcome":"installed"},"constructor":1}',
  (random) =>
    JSON.stringify({ version: odd(random), outcome: odd(random), running: odd(random), attributes: odd(random) }),
  (random) =>
    JSON.stringify({
      version: random.word(),
      outcome: 'installed',
      message: text(random),
      attributes: { [text(random)]: text(random) },
    }),
  (random, { action }) =>
    JSON.stringify({
      id: random.pick<unknown>([action, odd(random)]),
      status: {
        execution: random.pick<unknown>(['closed', 'proceeding', 'canceled', odd(random)]),
        result: { finished: random.pick<unknown>(['success', 'failure', 'none', odd(random)]), progress: odd(random) },
        details: odd(random),
        code: odd(random),
      },
    }),
  (random) => JSON.stringify({ id: odd(random), status: odd(random) }),
  (random) =>
    JSON.stringify({
      mode: random.pick<unknown>(['merge', 'replace', 'remove', null, odd(random)]),
      data: random.pick<unknown>([odd(random), { [text(random)]: odd(random) }]),
    }),
  (random) =>
    JSON.stringify({ confirmation: random.pick<unknown>(['confirmed', 'denied', odd(random)]), details: odd(random) }),
  (random, { product }) =>
    JSON.stringify({
      device_provides: random.pick<unknown>([
        odd(random),
        { device_type: random.pick<unknown>([product, odd(random)]), artifact_name: odd(random) },
      ]),
    }),
  (random) =>
    JSON.stringify({
      status: random.pick<unknown>(['success', 'failure', 'downloading', odd(random)]),
      substate: odd(random),
    }),
  (random) =>
    JSON.stringify({
      messages: random.pick<unknown>([
        odd(random),
        [odd(random), { timestamp: odd(random), level: odd(random), message: odd(random) }],
      ]),
    }),
  (random) => JSON.stringify([odd(random), { name: odd(random), value: odd(random) }]),
  (_random, { login }) => login,
  (random, { login }) => login.slice(0, random.below(login.length)),
  (random) =>
    JSON.stringify({
      id_data: random.pick<unknown>(['{"mac":1}', '{', odd(random)]),
      pubkey: odd(random),
      tenant_token: odd(random),
    }),
  (random) => `${random.pick(['success', 'fail', 'started', '#12', '#14', 'other'])},${text(random)},${text(random)}`,
  () => ','.repeat(60_000),
];

function odd(random: Random): unknown {
  return random.pick<unknown>([
    null,
    true,
    0,
    -1,
    1e308,
    '',
    'x'.repeat(2000),
    '\0\u2028\ud800',
    [],
    {},
    [[[[]]]],
    { toString: 1, then: 1, length: -1 },
    Array.from({ length: 500 }, (_one, i) => i),
    text(random),
  ]);
}

/** A text without the characters that end a line: a request that is no HTTP at all is the rarer case. */
function text(random: Random): string {
  const made = random.pick(TEXTS)(random);
  return random.chance(20) ? made : made.replaceAll(/[\r\n\0]/g, '');
}

/** Returns a request that no client sends. Its text is one byte per character. */
export function hostileRequest(random: Random, known: Known): HostileRequest {
  const [usual, target] = random.pick(REQUESTS);
  const names: Readonly<Record<string, string>> = {
    ...{ P: known.product, V: known.version, U: 'ddi-1', H: 'rev-b', C: 'stable', F: 'firmware.bin', X: 'x' },
    ...{ A: known.action, D: known.deployment },
  };
  // Some parts are right, so that the request gets further.
  let path = target.replaceAll(/\{(\w)\}/g, (_all, name: string) =>
    random.chance(3) ? text(random) : (names[name] ?? ''),
  );
  if (random.chance(30))
    path = random.pick([`//${path}`, `http://other${path}`, `${path}#x`, path.slice(1), '*', `${path}/`]);
  const method = random.chance(4) ? random.pick(METHODS) : usual;
  const headers = Array.from({ length: random.below(5) }, () => random.pick(HEADERS)(random, known));
  if (!random.chance(20)) headers.unshift('Host: 127.0.0.1');
  const isWithBody = usual !== 'GET' || random.chance(8);
  const body = isWithBody ? Buffer.from(random.pick(BODIES)(random, known)).toString('latin1') : '';
  const framed = isWithBody ? framing(random, body) : { headers: [], body: '', isCut: false };
  if (isWithBody && !random.chance(5)) headers.push('Content-Type: application/json; charset=utf-8');
  const lines = [
    `${method} ${Buffer.from(path).toString('latin1')} HTTP/1.1`,
    ...headers.map((line) => Buffer.from(line).toString('latin1')),
    ...framed.headers,
  ];
  return { text: `${lines.join('\r\n')}\r\n\r\n${framed.body}`, isHead: method === 'HEAD', isCut: framed.isCut };
}

function framing(random: Random, body: string): { headers: string[]; body: string; isCut: boolean } {
  const chunk = `${body.length.toString(16)}\r\n${body}\r\n`;
  const chunked = (text_: string, isCut: boolean): ReturnType<typeof framing> => ({
    headers: ['Transfer-Encoding: chunked'],
    body: text_,
    isCut,
  });
  const length = (size: number | string, isCut: boolean): ReturnType<typeof framing> => ({
    headers: [`Content-Length: ${size}`],
    body,
    isCut,
  });
  switch (random.below(16)) {
    case 0:
      return chunked(body === '' ? '0\r\n\r\n' : `${chunk}0\r\n\r\n`, false);
    case 1:
      return chunked(chunk, true);
    case 2:
      return chunked(`${'f'.repeat(20)}\r\n${body}`, true);
    case 3:
      return length(body.length + 1 + random.below(100_000), true);
    case 4:
      return length('9'.repeat(25), true);
    case 5:
      return { headers: [`Content-Length: ${body.length}`, 'Transfer-Encoding: chunked'], body, isCut: true };
    case 7:
      return { headers: ['Transfer-Encoding: gzip, chunked'], body, isCut: true };
    case 6:
      return length(-1, true);
    default:
      return length(body.length, false);
  }
}
