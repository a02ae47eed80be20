import {
  badBody,
  DeviceRefusal,
  invalidDevice,
  jsonIn,
  parameter,
  type DeviceRequest,
  type EndOfBody,
} from '../../delivery/index.js';
import { printable } from '../../identity.js';
import { isRepositoryName } from '../../oci/index.js';

/** What a device says when it asks for a deployment. */
export interface Provides {
  readonly deviceType: string;
  readonly artifactName: string | undefined;
}

/** Returns what v2 sends in `device_provides`, v1 in the body, and v1 with GET in the query. */
export function providesIn({ method, query, body }: DeviceRequest): Provides {
  if (method === 'GET')
    return provides({ device_type: parameter(query, 'device_type'), artifact_name: parameter(query, 'artifact_name') });
  const given = jsonIn(body);
  const nested = given.device_provides;
  return provides(typeof nested === 'object' && nested !== null ? (nested as Record<string, unknown>) : given);
}

function provides({ device_type, artifact_name }: Readonly<Record<string, unknown>>): Provides {
  const deviceType = printable(device_type);
  if (deviceType === undefined) throw badBody('device_type: expected 1 to 128 printable characters');
  return { deviceType, artifactName: printable(artifact_name) };
}

/** Returns the product of a device type. Throws a DeviceRefusal if no repository can have that name. */
export function productOf(deviceType: string): string {
  const product = deviceType.toLowerCase();
  if (!isRepositoryName(product)) throw invalidDevice(product);
  return product;
}

/** Returns the attributes of an inventory: `[{"name":…,"value":…}]`. The values of a list are joined. */
export function inventoryIn(body: Buffer): Readonly<Record<string, string>> {
  let list: unknown;
  try {
    list = JSON.parse(body.toString('utf8'));
  } catch {
    throw badBody('it is not JSON');
  }
  if (!Array.isArray(list)) throw badBody('expected a list of attributes: [{"name":"device_type","value":"board"}]');
  const attributes = new Map<string, string>();
  for (const item of list as unknown[]) {
    const { name, value } = (typeof item === 'object' && item !== null ? item : {}) as Record<string, unknown>;
    const text = Array.isArray(value) ? value.map(String).join(', ') : value;
    if (typeof name === 'string' && (typeof text === 'string' || typeof text === 'number' || typeof text === 'boolean'))
      attributes.set(name, String(text));
  }
  return Object.fromEntries(attributes);
}

/** The states of a deployment that a device reports (mender-server, deployments device API). */
const STATES = [
  'downloading',
  'installing',
  'pause_before_installing',
  'pause_before_rebooting',
  'pause_before_committing',
  'rebooting',
  'success',
  'failure',
  'already-installed',
] as const;
export type DeploymentState = (typeof STATES)[number];

/** Returns the state in a status report. Throws the DeviceRefusal 400 for an unknown one. */
export function stateIn(body: Buffer): DeploymentState {
  const { status } = jsonIn(body);
  const state = STATES.find((known) => known === status);
  if (!state) throw badBody(`status: expected ${STATES.join(', ')}`);
  return state;
}

/** Levels of messages about an error. */
const ERRORS = new Set(['error', 'err', 'fatal', 'panic', 'critical']);

/** One entry of a log whose beginning is missing. */
const ENTRY = /\{(?:[^"{}]|"(?:[^"\\]|\\.)*")*\}/g;
const MAX_ERRORS = 3;

/**
 * Returns the last messages about errors in the log `{"messages":[{"level":…,"message":…}]}`, or undefined if there are
 * none. The beginning of a long log is missing.
 */
export function errorsIn({ bytes, isWhole }: EndOfBody): string | undefined {
  const errors = entriesIn(bytes, isWhole)
    .map((entry) => (typeof entry === 'object' && entry !== null ? entry : {}) as Record<string, unknown>)
    .filter(({ level }) => typeof level === 'string' && ERRORS.has(level.toLowerCase()))
    .map(({ message }) => message)
    .filter((message) => typeof message === 'string');
  return errors.length > 0 ? errors.slice(-MAX_ERRORS).join('; ') : undefined;
}

function entriesIn(bytes: Buffer, isWhole: boolean): readonly unknown[] {
  if (isWhole) {
    const { messages } = jsonIn(bytes);
    if (!Array.isArray(messages)) throw badBody('messages: expected a list');
    return messages as unknown[];
  }
  // The text begins in the middle of an entry.
  const text = bytes.toString('utf8');
  const start = text.indexOf('},{');
  return [...text.slice(start + 1).matchAll(ENTRY)].map(([entry]) => parsed(entry));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export const unknownDeployment = (): DeviceRefusal => new DeviceRefusal(404, 'Unknown deployment');
