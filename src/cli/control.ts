import { styleText } from 'node:util';
import { flagOf } from '../config/index.js';
import { linked } from '../abort.js';
import type { DeviceStatus, RegistryStatus, Status } from '../control/index.js';
import { codesOf, ConfigError, reasonOf } from '../errors.js';
import { after } from '../timers.js';
import { httpRequest, type HttpAnswer } from './http-request.js';
import { StatusLine } from './progress.js';
import { isColourful, tableOf } from './table.js';

export interface ControlledServer {
  readonly url: string;
  /** MANAGEMENT_TOKEN; undefined for a server that has none. */
  readonly token: string | undefined;
}

const EXIT_FAILURE = 1;
const EXIT_NOT_ASKED = 3;
const TOKEN_HINT = '. Set MANAGEMENT_TOKEN (or --management-token) to the token of the server.';
const OTHER_SERVER = 'This is not the management port of OtaFlux. Check --url';
/** Longer than the server waits for brokers to confirm. */
const PATIENCE_MS = 15_000;
/** After this time, a person at a terminal wonders. */
const SILENCE_MS = 500;

/** Prints what the server knows; resolves to the exit code. */
export async function status(server: ControlledServer, device: string | undefined, json: boolean): Promise<number> {
  const answer = await ask(server, 'GET', 'status', device);
  if (!answer) return EXIT_NOT_ASKED;
  if (answer.code !== 200) return refuse(server, answer);
  const found = JSON.parse(answer.body) as Status;
  if (json) process.stdout.write(`${answer.body}\n`);
  else print(found);
  if (device === undefined || found.devices.length > 0) return 0;
  process.stderr.write(
    `otaflux: the server has no release for ${device}. A device is shown after its first request, or if --watch names it. Check its versions with otaflux list\n`,
  );
  return EXIT_FAILURE;
}

/** Makes the server announce the current release of `device` again. Resolves to the exit code. */
export async function notify(server: ControlledServer, device: string, json: boolean): Promise<number> {
  const answer = await ask(server, 'POST', 'notify', device);
  if (!answer) return EXIT_NOT_ASKED;
  if (answer.code !== 202) return refuse(server, answer);
  const { version, confirmed } = JSON.parse(answer.body) as { version: string; confirmed: Record<string, boolean> };
  const notifiers = Object.entries(confirmed);
  if (json) process.stdout.write(`${answer.body}\n`);
  else if (notifiers.length > 0) {
    process.stdout.write(`${device} ${version}\n`);
    for (const [name, isConfirmed] of notifiers)
      process.stdout.write(`${name}: ${isConfirmed ? 'confirmed' : 'not confirmed yet'}\n`);
  } else process.stderr.write('otaflux: the server has no broker. Set MQTT_URL or NOTIFY on the server\n');
  return notifiers.length > 0 && notifiers.every(([, isConfirmed]) => isConfirmed) ? 0 : EXIT_FAILURE;
}

/** Resolves to 0 when the server is ready to answer devices, else to 1, as probes have it. */
export async function health(server: ControlledServer, json: boolean): Promise<number> {
  const answer = await ask(server, 'GET', 'health/ready');
  if (!answer) return EXIT_FAILURE;
  if (json) process.stdout.write(`${answer.body}\n`);
  if (answer.code === 200) return 0;
  const why = answer.code === 503 ? 'The server is starting or shutting down' : OTHER_SERVER;
  process.stderr.write(`otaflux: ${server.url} answered ${answer.code}, expected 200. ${why}\n`);
  return EXIT_FAILURE;
}

/** Resolves to 0 when the server can use its registry, else to 1, with the reason on standard error. */
export async function registryHealth(server: ControlledServer, json: boolean): Promise<number> {
  const answer = await ask(server, 'GET', 'health/registry');
  if (!answer) return EXIT_FAILURE;
  if (json) process.stdout.write(`${answer.body}\n`);
  if (answer.code === 200) return 0;
  process.stderr.write(
    `otaflux: ${registryProblem(answer.body) ?? `${server.url} answered ${answer.code}. ${OTHER_SERVER}`}\n`,
  );
  return EXIT_FAILURE;
}

/** What an answer of `/health/registry` says is wrong; undefined for any other answer. */
function registryProblem(body: string): string | undefined {
  const registry = registryIn(body);
  if (registry?.state === 'unknown') return 'the registry has not answered yet. Try again in a few seconds';
  if (registry?.state !== 'down') return undefined;
  const { code, reason = code, options = [] } = registry.error ?? { code: 'unknown reason' };
  return `the registry cannot be used: ${withAdvice(reason, options)}`;
}

function withAdvice(reason: string, options: readonly string[]): string {
  // Most reasons name the option themselves.
  const isAdvised = options.some((variable) => reason.includes(flagOf(variable)) || reason.includes(variable));
  return options.length > 0 && !isAdvised ? `${reason.replace(/\.$/, '')}. Check ${options.join(', ')}.` : reason;
}

/** The device port shows the code of an error alone. */
interface ShownRegistry {
  readonly state: RegistryStatus['state'];
  readonly error: { readonly code: string; readonly reason?: string; readonly options?: readonly string[] } | null;
}

function registryIn(body: string): ShownRegistry | undefined {
  try {
    return (JSON.parse(body) as { details?: { registry?: ShownRegistry } }).details?.registry;
  } catch {
    return undefined;
  }
}

/** Resolves to undefined, after a line on standard error, if the server cannot be asked. */
async function ask(
  server: ControlledServer,
  method: 'GET' | 'POST',
  path: string,
  device?: string,
): Promise<HttpAnswer | undefined> {
  const url = urlOf(server.url, path);
  if (device !== undefined) url.searchParams.set('device', device);
  const line = StatusLine.on(process.stderr);
  // The server may be waiting for its registry.
  const waiting = after(SILENCE_MS, () => line?.show(`waiting for ${url.host} …`));
  try {
    const headers = server.token === undefined ? {} : { authorization: `Bearer ${server.token}` };
    return await linked([], PATIENCE_MS, (signal) => httpRequest(url, { method, signal, headers }));
  } catch (error) {
    line?.clear();
    process.stderr.write(`otaflux: cannot reach ${url.origin}: ${await whyUnreached(error, url)}\n`);
    return undefined;
  } finally {
    waiting.stop();
    line?.clear();
  }
}

function urlOf(given: string, path: string): URL {
  if (!/^https?:\/\//i.test(given) || !URL.canParse(given))
    throw new ConfigError(`--url: got ${JSON.stringify(given)}, expected a URL such as http://127.0.0.1:9090`);
  return new URL(path, `${given.replace(/\/+$/, '')}/`);
}

/** What it needs is loaded after a failure only, because a probe runs every 10 s. */
async function meetsTls(url: URL): Promise<boolean> {
  const { speaksTls } = await import('../speaks-tls.js');
  return speaksTls(url, new AbortController().signal);
}

/** Returns the reason and the advice for a request without an answer. */
async function whyUnreached(error: unknown, url: URL): Promise<string> {
  const code = codesOf(error).at(-1) ?? '';
  if (url.protocol === 'https:' && /^(?:EPROTO$|ERR_SSL_)/.test(code))
    return `the server does not speak TLS. Use http://${url.host} in --url`;
  const isClosed = code === 'ECONNRESET' || code.startsWith('HPE_');
  if (url.protocol === 'http:' && isClosed && (await meetsTls(url)))
    return `the server speaks HTTPS. Use the management port in --url, or https://${url.host} for a proxy in front of it`;
  return `${reasonOf(error)}. Check that the server runs, and --url`;
}

function refuse({ url }: ControlledServer, { code, body }: HttpAnswer): number {
  const reason = messageIn(body);
  const isOtherPort = code === 404 && reason.startsWith('Cannot ');
  const hint = isOtherPort ? '. Use the management port in --url' : code === 401 ? TOKEN_HINT : '';
  process.stderr.write(
    reason === ''
      ? `otaflux: ${url} answered ${code}. ${OTHER_SERVER}\n`
      : `otaflux: ${url} answered ${code}: ${reason}${hint}\n`,
  );
  return code === 404 && reason !== '' && !isOtherPort ? EXIT_FAILURE : EXIT_NOT_ASKED;
}

function messageIn(body: string): string {
  try {
    const { message } = JSON.parse(body) as { message?: unknown };
    return typeof message === 'string' ? message : '';
  } catch {
    return '';
  }
}

function print({ version, uptimeSeconds, registry, webhooks, notifiers, devices }: Status): void {
  const head = [
    ['server', `${version}, up for ${duration(uptimeSeconds)}`],
    ['registry', registryLine(registry)],
    ['webhooks', `${counted(webhooks.waiting, 'device')} to refresh`],
    ...notifiers.map(({ name, connected, pending }) => [
      name,
      `${connected ? 'connected' : 'not connected'}, ${counted(pending, 'message')} pending`,
    ]),
  ];
  const rows = devices.map((device) => [
    device.device,
    device.version,
    `${device.digest.slice(0, 19)}…`,
    String(device.sizeBytes),
    duration(device.ageSeconds),
    device.pending.join(',') || '-',
    noteOf(device),
  ]);
  const [title = '', ...lines] = tableOf([['DEVICE', 'VERSION', 'DIGEST', 'BYTES', 'AGE', 'PENDING', 'NOTE'], ...rows]);
  const bold = isColourful() ? styleText('bold', title) : title;
  const table = devices.length === 0 ? [] : ['', bold, ...lines];
  process.stdout.write([...tableOf(head), ...table, ''].join('\n'));
}

function registryLine({ state, lastAnswer, error }: RegistryStatus): string {
  const line = `${state}, last answer ${lastAnswer ?? 'never'}`;
  return error ? `${line}: ${withAdvice(error.reason, error.options)}` : line;
}

function noteOf({ failure, passedOver }: DeviceStatus): string {
  return failure ?? (passedOver ? 'a newer version is not trusted' : '-');
}

/** `1 message`, `2 messages`. */
function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

/** Two units at most: an age of days needs no seconds. */
function duration(seconds: number): string {
  const [d, h, m] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3_600) % 24, Math.floor(seconds / 60) % 60];
  if (d > 0) return `${d}d${h}h`;
  if (h > 0) return `${h}h${m}m`;
  return m > 0 ? `${m}m${Math.floor(seconds % 60)}s` : `${seconds}s`;
}
