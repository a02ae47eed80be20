import type { OwnParts } from '../app.module.js';

/** What the service uses of a part. */
export interface Port {
  /** The class that a part extends. */
  readonly extends: string;
  /** Methods that this class leaves to the part. */
  readonly methods: readonly string[];
  /** Members that the class has, and a part that does not extend it may lack. */
  readonly inherited: Readonly<Record<string, Check>>;
  /** Further members that the part has to set. */
  readonly own: Readonly<Record<string, Check>>;
  /** Whether a plug-in brings a list of them. */
  readonly several?: true;
  /** Whether Nest makes it: a class, no object. */
  readonly isClass?: true;
}

/** The values that a member may have. `expected` completes "expected …". */
interface Check {
  readonly expected: string;
  readonly accepts: (value: unknown) => boolean;
}

const method: Check = { expected: 'a method', accepts: (value) => typeof value === 'function' };
const observable: Check = {
  expected: 'an Observable',
  accepts: (value) => typeof (value as { subscribe?: unknown } | null | undefined)?.subscribe === 'function',
};
const name: Check = {
  expected: 'a name of letters, digits, ., _ and -',
  accepts: (value) => typeof value === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(value),
};
/** A file name without the characters that file systems refuse. */
const fileName: Check = {
  expected: 'a text that is not empty',
  accepts: (value) => typeof value === 'string' && value !== '',
};
const positive: Check = {
  expected: 'a whole number from 1',
  accepts: (value) => Number.isSafeInteger(value) && Number(value) >= 1,
};
const isHeader = (value: unknown): boolean => typeof value === 'string' && /^[a-z0-9-]+$/.test(value);
const header: Check = {
  expected: 'the name of a header in lower case, or undefined',
  accepts: (value) => value === undefined || isHeader(value),
};
const headers: Check = {
  expected: 'a list of names of headers in lower case',
  accepts: (value) => Array.isArray(value) && value.every(isHeader),
};

export const PORTS: Readonly<Record<keyof OwnParts, Port>> = {
  registry: {
    extends: 'Registry',
    methods: ['listTags', 'resolve', 'fetchManifest', 'fetchBlob', 'listReferrers', 'ping'],
    inherited: { listRepositories: method, close: method },
    own: {},
  },
  verifier: {
    extends: 'SignatureVerifier',
    methods: ['verify'],
    inherited: { stillTrusts: method, changes: observable },
    own: {},
  },
  store: {
    extends: 'FirmwareStore',
    methods: ['find', 'put', 'open', 'has', 'hold'],
    inherited: {},
    own: {},
    isClass: true,
  },
  fleetStore: {
    extends: 'FleetStore',
    methods: ['find', 'update', 'list', 'counts', 'products'],
    inherited: { close: method },
    own: {},
  },
  protocols: {
    extends: 'DeviceProtocol',
    methods: ['match', 'handle'],
    inherited: { identify: method },
    own: {},
    several: true,
  },
  authenticators: {
    extends: 'DeviceAuthenticator',
    methods: ['accessOf'],
    inherited: { close: method },
    own: {},
    several: true,
  },
  sources: {
    extends: 'WebhookSource',
    methods: ['parse'],
    inherited: { signatureHeader: header, secretHeaders: headers },
    own: { name },
    several: true,
  },
  notifiers: {
    extends: 'Notifier',
    methods: ['publish'],
    inherited: { memory: fileName, concurrency: positive, open: method, lost: observable, close: method },
    own: { name },
    several: true,
  },
};

const NAMES = Object.keys(PORTS) as (keyof OwnParts)[];

/** Returns what is wrong with the parts that a plug-in brings, in one line without its name, or undefined. */
export function problemOfParts(parts: unknown): string | undefined {
  if (typeof parts !== 'object' || parts === null || Array.isArray(parts))
    return `its default export makes ${kindOf(parts)}, expected an object with parts: ${NAMES.join(', ')}`;
  for (const [name, part] of Object.entries(parts)) {
    if (!isPortName(name)) return unknownPart(name);
    const problem = part === undefined ? undefined : problemOfPart(name, part);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Returns what is wrong with an object that is to be a part, or undefined. `what` names the part. */
export function problemOfObject(what: string, part: object, port: Port): string | undefined {
  const members = part as Readonly<Record<string, unknown>>;
  const lacking = Object.keys(port.inherited).filter((member) => !(member in part));
  if (lacking.length > 0)
    return `${what} has no ${lacking.join(', ')}, expected a class that extends ${port.extends}, which has ${lacking.length === 1 ? 'it' : 'them'}`;
  for (const [member, { expected, accepts }] of Object.entries({ ...port.own, ...port.inherited })) {
    const value = members[member];
    if (accepts(value)) continue;
    return value === undefined
      ? `${what} has no ${member}, expected ${expected}`
      : `${member} of ${what} is ${valueText(value)}, expected ${expected}`;
  }
  return undefined;
}

/** Returns the name of a part in messages: `the part registry`, `entry 2 of the part notifiers`. */
export function nameOfPart(name: string, index?: number): string {
  return index === undefined ? `the part ${name}` : `entry ${index + 1} of the part ${name}`;
}

function unknownPart(name: string): string {
  // What TypeScript and Babel make of `export default` for CommonJS.
  if (name === 'default' || name === '__esModule')
    return 'it is compiled to CommonJS, which hides its default export. Compile it to an ES module ("module": "nodenext", "type": "module"), or write module.exports = …';
  return `it brings ${name}, which is no part. Expected ${NAMES.join(', ')}`;
}

function problemOfPart(name: keyof OwnParts, part: unknown): string | undefined {
  const port = PORTS[name];
  if (!port.several) return problemOfOne(nameOfPart(name), part, port);
  if (!Array.isArray(part)) return `the part ${name} is ${kindOf(part)}, expected a list: ${name}: [ … ]`;
  return part
    .map((one, index) => problemOfOne(nameOfPart(name, index), one, port))
    .find((found) => found !== undefined);
}

/**
 * Methods are looked for, not the class: a plug-in may have a copy of the package of its own. The fields of a class are
 * checked when Nest has made an object of it.
 */
function problemOfOne(what: string, part: unknown, port: Port): string | undefined {
  const expected = `a class that extends ${port.extends}${port.isClass ? '' : ', or an object of such a class'}`;
  const isClass = typeof part === 'function';
  if (!isClass && (port.isClass || typeof part !== 'object' || part === null))
    return `${what} is ${kindOf(part)}, expected ${expected}`;
  const members = (isClass ? part.prototype : part) as Readonly<Record<string, unknown>> | undefined;
  const missing = port.methods.filter((method) => typeof members?.[method] !== 'function');
  if (missing.length > 0)
    return `${what} has no ${missing.length === 1 ? 'method' : 'methods'} ${missing.join(', ')}, expected ${expected}`;
  return isClass ? undefined : problemOfObject(what, part, port);
}

function isPortName(name: string): name is keyof OwnParts {
  return Object.hasOwn(PORTS, name);
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'function') return 'a class or a function';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

function valueText(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? JSON.stringify(value) : kindOf(value);
}
