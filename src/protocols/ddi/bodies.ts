import { badBody, jsonIn } from '../../delivery/index.js';
import { printable } from '../../identity.js';

const EXECUTIONS = [
  'closed',
  'proceeding',
  'scheduled',
  'resumed',
  'download',
  'downloaded',
  'canceled',
  'rejected',
] as const;
const FINISHED = ['none', 'success', 'failure'] as const;
/** SWUpdate sends up to 48 lines. The last ones say why it has failed. */
const MAX_LINES = 8;
const MAX_MESSAGE = 500;
const ERROR = /error|fail|mismatch|invalid/i;
const MAX_ERROR = 240;

/** What a unit reports of its action. The id and the time in the body are not read: clients send any text there, or none. */
export interface Feedback {
  readonly execution: (typeof EXECUTIONS)[number];
  readonly finished: (typeof FINISHED)[number];
  readonly message: string | undefined;
  /** The last line that reports an error. SWUpdate sends the reason of a failure before it closes the action. */
  readonly error: string | undefined;
}

/** Returns the feedback in a body: `{"status":{"execution":"closed","result":{"finished":"success"}}}`. */
export function feedbackIn(body: Buffer): Feedback {
  const { execution, result, details } = objectIn(jsonIn(body).status, 'status');
  const { finished } = objectIn(result, 'status.result');
  return {
    execution: oneOf(EXECUTIONS, execution, 'status.execution'),
    finished: oneOf(FINISHED, finished, 'status.result.finished'),
    message: messageIn(details),
    error: linesIn(details)
      .findLast((line) => ERROR.test(line))
      ?.slice(0, MAX_ERROR),
  };
}

/** What a unit says of itself. */
export interface ConfigData {
  readonly mode: 'merge' | 'replace' | 'remove';
  readonly data: Readonly<Record<string, string>>;
}

/** Returns the attributes in a body: `{"mode":"merge","data":{"version":"1.2.3"}}`. */
export function configDataIn(body: Buffer): ConfigData {
  const { mode, data } = jsonIn(body);
  const entries = Object.entries(objectIn(data, 'data')).filter(([, value]) =>
    ['string', 'number', 'boolean'].includes(typeof value),
  );
  return {
    mode: oneOf(['merge', 'replace', 'remove'] as const, mode ?? 'merge', 'mode'),
    data: Object.fromEntries(entries.map(([name, value]) => [name, String(value)])),
  };
}

/** The attributes by which units name what they run and what they are, by convention. The first one counts. */
const RUNNING = ['version', 'sw_version', 'swVersion', 'running'];
const HARDWARE = ['hardware', 'board', 'model', 'hw_revision', 'hwrev'];

/** Returns the version and the hardware in attributes. */
export function saidBy(data: Readonly<Record<string, string>>): {
  running: string | undefined;
  hardware: string | undefined;
} {
  const first = (names: readonly string[]): string | undefined =>
    names.map((name) => printable(data[name])).find((value) => value !== undefined);
  return { running: first(RUNNING), hardware: first(HARDWARE) };
}

/** Returns the version in a body of `installedBase`: `{"name":"app","version":"1.2.3"}`. */
export function installedIn(body: Buffer): string {
  const version = printable(jsonIn(body).version);
  if (version === undefined) throw badBody('version: expected 1 to 128 printable characters');
  return version;
}

/** Returns whether a unit confirms its action: `{"confirmation":"denied","details":["…"]}`. */
export function confirmationIn(body: Buffer): { readonly isDenied: boolean; readonly message: string | undefined } {
  const { confirmation, details } = jsonIn(body);
  const isDenied = oneOf(['confirmed', 'denied'] as const, confirmation, 'confirmation') === 'denied';
  return { isDenied, message: messageIn(details) };
}

function messageIn(details: unknown): string | undefined {
  const text = linesIn(details).slice(-MAX_LINES).join(' | ');
  return text === '' ? undefined : text.slice(-MAX_MESSAGE);
}

function linesIn(details: unknown): string[] {
  if (!Array.isArray(details)) return [];
  return details.filter((line): line is string => typeof line === 'string' && line.trim() !== '');
}

function objectIn(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw badBody(`${name}: expected an object`);
  return value as Record<string, unknown>;
}

function oneOf<const T extends string>(values: readonly T[], value: unknown, name: string): T {
  const found = values.find((known) => known === value);
  if (found === undefined) throw badBody(`${name}: expected ${values.join(', ')}`);
  return found;
}
