import type { OwnParts } from '../app.module.js';

/** What a part has to be: the class that it extends, and the methods that it must have. */
interface Port {
  readonly extends: string;
  readonly methods: readonly string[];
  /** Whether a plug-in brings a list of them. */
  readonly several?: true;
  /** Whether Nest makes it: a class, no object. */
  readonly isClass?: true;
}

export const PORTS: Readonly<Record<keyof OwnParts, Port>> = {
  registry: {
    extends: 'Registry',
    methods: ['listTags', 'resolve', 'fetchManifest', 'fetchBlob', 'listReferrers', 'ping'],
  },
  verifier: { extends: 'SignatureVerifier', methods: ['verify'] },
  store: { extends: 'FirmwareStore', methods: ['find', 'put', 'open', 'has', 'hold'], isClass: true },
  protocols: { extends: 'DeviceProtocol', methods: ['match', 'handle'], several: true },
  authenticators: { extends: 'DeviceAuthenticator', methods: ['accessOf'], several: true },
  sources: { extends: 'WebhookSource', methods: ['parse'], several: true },
  notifiers: { extends: 'Notifier', methods: ['publish'], several: true },
};

const NAMES = Object.keys(PORTS) as (keyof OwnParts)[];

/** What is wrong with the parts that a plug-in brings, in one line without its name; undefined for nothing. */
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

function unknownPart(name: string): string {
  // What TypeScript and Babel make of `export default` for CommonJS.
  if (name === 'default' || name === '__esModule')
    return 'it is compiled to CommonJS, which hides its default export. Compile it to an ES module ("module": "nodenext", "type": "module"), or write module.exports = …';
  return `it brings ${name}, which is no part. Expected ${NAMES.join(', ')}`;
}

function problemOfPart(name: keyof OwnParts, part: unknown): string | undefined {
  const port = PORTS[name];
  if (!port.several) return problemOfOne(`the part ${name}`, part, port);
  if (!Array.isArray(part)) return `the part ${name} is ${kindOf(part)}, expected a list: ${name}: [ … ]`;
  return part
    .map((one, index) => problemOfOne(`entry ${index + 1} of the part ${name}`, one, port))
    .find((found) => found !== undefined);
}

/** Methods are looked for, not the class: a plug-in may have a copy of the package of its own. */
function problemOfOne(what: string, part: unknown, port: Port): string | undefined {
  const expected = `a class that extends ${port.extends}${port.isClass ? '' : ', or an object of such a class'}`;
  const isClass = typeof part === 'function';
  if (!isClass && (port.isClass || typeof part !== 'object' || part === null))
    return `${what} is ${kindOf(part)}, expected ${expected}`;
  const members = (isClass ? part.prototype : part) as Readonly<Record<string, unknown>> | undefined;
  const missing = port.methods.filter((method) => typeof members?.[method] !== 'function');
  if (missing.length === 0) return undefined;
  return `${what} has no ${missing.length === 1 ? 'method' : 'methods'} ${missing.join(', ')}, expected ${expected}`;
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
