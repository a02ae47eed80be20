import { styleText } from 'node:util';
import { flagOf } from '../config/index.js';
import type { DeviceStatus, RegistryStatus, Status } from '../control/index.js';
import { ask, EXIT_FAILURE, EXIT_NOT_ASKED, OTHER_SERVER, refuse, type ControlledServer } from './server-request.js';
import { isColourful, tableOf } from './table.js';

/** Prints what the server knows; resolves to the exit code. */
export async function status(server: ControlledServer, device: string | undefined, json: boolean): Promise<number> {
  const answer = await ask(server, 'GET', 'status', device === undefined ? {} : { device });
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
  const answer = await ask(server, 'POST', 'notify', { device });
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
