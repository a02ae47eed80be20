import { afterAll, describe, expect, it } from '@jest/globals';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cli, type Finished } from '../support/cli.js';

const folder = mkdtempSync(join(tmpdir(), 'otaflux-plugins-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const run = (plugins: string): Promise<Finished> =>
  new Cli(
    [
      '--plugin',
      plugins,
      '--registry-url',
      'oci:registry',
      '--listen-addr',
      '127.0.0.1:0',
      '--metrics-listen-addr',
      '127.0.0.1:0',
    ],
    {},
    folder,
  ).finished;
const METHODS = 'listTags() {} resolve() {} fetchManifest() {} fetchBlob() {} listReferrers() {} ping() {}';
const METHODS_OF_OBJECT = METHODS.replaceAll('{} ', '{}, ');

/** Files of plug-ins, what each holds, and what is said of it. */
const CASES: [string, string, RegExp][] = [
  ['none.mjs', 'export const x = 1;', /it has no default export, expected export default \{/],
  [
    'null.mjs',
    'export default () => null;',
    /its default export makes null, expected an object with parts: registry, verifier/,
  ],
  ['list.mjs', 'export default [];', /its default export makes a list, expected an object/],
  ['odd.mjs', 'export default { brokers: [] };', /it brings brokers, which is no part\. Expected registry, verifier/],
  [
    'text.mjs',
    "export default { registry: 'x' };",
    /the part registry is a string, expected a class that extends Registry, or an object of such a class/,
  ],
  [
    'half.mjs',
    'export default { registry: class { listTags() {} ping() {} } };',
    /the part registry has no methods resolve, fetchManifest, fetchBlob, listReferrers, expected/,
  ],
  [
    'object.mjs',
    `import { Notifier } from 'otaflux';
class Good extends Notifier { name = 'good'; publish() {} }
export default { notifiers: [new Good(), {}] };`,
    /entry 2 of the part notifiers has no method publish, expected a class that extends Notifier/,
  ],
  [
    'single.mjs',
    'export default { protocols: class { match() {} handle() {} } };',
    /the part protocols is a class or a function, expected a list: protocols: \[ … \]/,
  ],
  [
    'store.mjs',
    'export default { store: {} };',
    /the part store is an object, expected a class that extends FirmwareStore\./,
  ],
  ['throws.mjs', "export default () => { throw new Error('needs a key'); };", /throws\.mjs: needs a key$/m],
  [
    'plugin.ts',
    'enum A { B }\nexport default { notifiers: [] as object[] };',
    /Compile it with tsc, and name the \.js file/,
  ],
  ['plugin.wasm2', '', /does not run \.wasm2 files, expected \.mjs, \.js or \.cjs/],
  [
    'compiled.cjs',
    'exports.__esModule = true; exports.default = { notifiers: [] };',
    /it is compiled to CommonJS.*"module": "nodenext".*module\.exports/,
  ],
  [
    'required.mjs',
    "const os = require('os'); module.exports = {};",
    /it is CommonJS in a file that Node\.js reads as an ES module\. Name it \.cjs/,
  ],
  [
    'exported.cjs',
    'export default {};',
    /it is an ES module in a file that Node\.js reads as CommonJS\. Name it \.mjs/,
  ],
  [
    'imports.mjs',
    "import 'not-installed';\nexport default {};",
    /not-installed.*Install what the plug-in imports beside it/,
  ],
  ['broken.mjs', 'export default {\n  notifiers: ;\n};', /line 2: Unexpected token/],
  ['cut-off.mjs', 'export default {', /line \d+: Unexpected end of input\. Correct the syntax/],
  [
    'outer.mjs',
    "import './broken.mjs';\nexport default {};",
    /Unexpected token ';', in a module that it imports\. Run node .*outer\.mjs to see where/,
  ],
  ['data.json', '{}', /it is a JSON file, expected a module in JavaScript: \.mjs, \.js or \.cjs/],
  [
    'class.mjs',
    'export default class X {}',
    /its default export is a class, expected an object with parts, such as export default \{ notifiers: \[Mine\] \}/,
  ],
  [
    'plain-verifier.mjs',
    'export default { verifier: { verify: async () => ({ trusted: true }) } };',
    /the part verifier has no stillTrusts, changes, expected a class that extends SignatureVerifier, which has them/,
  ],
  [
    'plain-notifier.mjs',
    'export default { notifiers: [{ publish() {} }] };',
    /entry 1 of the part notifiers has no memory, concurrency, open, lost, close, expected a class that extends Notifier, which has them/,
  ],
  [
    'plain-class.mjs',
    "export default { notifiers: [class { name = 'x'; publish() {} }] };",
    /entry 1 of the part notifiers has no memory, concurrency, open, lost, close, expected a class that extends Notifier/,
  ],
  [
    'plain-registry.mjs',
    `export default { registry: { ${METHODS_OF_OBJECT} } };`,
    /the part registry has no listRepositories, close, expected a class that extends Registry, which has them/,
  ],
  [
    'plain-protocol.mjs',
    'export default { protocols: [{ match() {}, handle() {} }] };',
    /entry 1 of the part protocols has no identify, expected a class that extends DeviceProtocol, which has it/,
  ],
  [
    'nameless.mjs',
    `import { Notifier } from 'otaflux';
export default { notifiers: [class Mine extends Notifier { publish() {} }] };`,
    /entry 1 of the part notifiers has no name, expected a name of letters, digits, \., _ and -/,
  ],
  [
    'nameless-source.mjs',
    `import { WebhookSource } from 'otaflux';
class Mine extends WebhookSource { parse() { return []; } }
export default { sources: [new Mine()] };`,
    /entry 1 of the part sources has no name, expected a name of letters/,
  ],
  [
    'slash.mjs',
    `import { WebhookSource } from 'otaflux';
export default { sources: [class Mine extends WebhookSource { name = 'a/b'; parse() { return []; } }] };`,
    /name of entry 1 of the part sources is "a\/b", expected a name of letters/,
  ],
  [
    'header.mjs',
    `import { WebhookSource } from 'otaflux';
class Mine extends WebhookSource { name = 'a'; signatureHeader = 'X-Signature'; parse() { return []; } }
export default { sources: [new Mine()] };`,
    /signatureHeader of entry 1 of the part sources is "X-Signature", expected the name of a header in lower case/,
  ],
  [
    'concurrency.mjs',
    `import { Notifier } from 'otaflux';
export default { notifiers: [class Mine extends Notifier { name = 'a'; concurrency = '4'; publish() {} }] };`,
    /concurrency of entry 1 of the part notifiers is "4", expected a whole number from 1/,
  ],
  [
    'changes.mjs',
    `import { SignatureVerifier } from 'otaflux';
export default { verifier: class Mine extends SignatureVerifier { get changes() { return []; } verify() {} } };`,
    /changes of the part verifier is a list, expected an Observable/,
  ],
  ...['verifier', 'registry', 'store'].map((part): [string, string, RegExp] => [
    `boom-${part}.mjs`,
    `import { FirmwareStore, Registry, SignatureVerifier } from 'otaflux';
const Base = { registry: Registry, store: FirmwareStore, verifier: SignatureVerifier }['${part}'];
class Mine extends Base {
  constructor() { super(); throw new Error('ctor boom'); }
  ${METHODS} verify() {} find() {} put() {} open() {} has() {} hold() {}
}
export default { ${part}: Mine };`,
    new RegExp(`the constructor of the part ${part} failed: ctor boom$`, 'm'),
  ]),
  [
    'boom-notifier.mjs',
    `import { Notifier } from 'otaflux';
export default { notifiers: [class Mine extends Notifier { constructor() { super(); throw 5; } publish() {} }] };`,
    /the constructor of entry 1 of the part notifiers failed: 5$/m,
  ],
  [
    'no-injects.mjs',
    `import { DeviceProtocol } from 'otaflux';
class Mine extends DeviceProtocol { constructor(delivery) { super(); delivery.current(); } match() {} handle() {} }
export default { protocols: [Mine] };`,
    /the constructor of entry 1 of the part protocols failed: .*\. It got no arguments: name what it needs with injects\(Mine, …\)/,
  ],
  [
    'twins.mjs',
    `import { Notifier } from 'otaflux';
class Mine extends Notifier { name = 'same'; publish() {} }
export default { notifiers: [new Mine(), Mine] };`,
    /entry 2 of the part notifiers has the name "same", which a part of \.\/twins\.mjs has already\. Give it another name/,
  ],
];

describe('a plug-in that is wrong is named, with what is wrong about it', () => {
  it.each(CASES)('%s', async (name, content, message) => {
    writeFileSync(join(folder, name), content);
    const { code, stderr } = await run(`./${name}`);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(new RegExp(`^otaflux: --plugin \\./${name.replace('.', '\\.')}: .+\\n$`, 'm'));
    expect(code).toBe(2);
  });

  it('because it is not there', async () => {
    expect((await run('./not-there.mjs')).stderr).toBe(
      `otaflux: --plugin ./not-there.mjs: there is no file ${folder}/not-there.mjs. Paths start at the current directory\n`,
    );
    expect((await run('no-such-package')).stderr).toMatch(
      /no package of this name is installed in .*run npm install no-such-package\n$/,
    );
    expect((await run('fs')).stderr).toBe(
      'otaflux: --plugin fs: this is a module of Node.js, expected the path of a plug-in, such as ./fs.mjs, or the name of a package\n',
    );
    mkdirSync(join(folder, 'directory'));
    expect((await run('./directory')).stderr).toMatch(/it is a directory, expected a file/);
  });

  it('because another brings the same part', async () => {
    for (const name of ['first', 'second'])
      writeFileSync(join(folder, `${name}.mjs`), `export default { registry: class { ${METHODS} } };`);
    expect((await run('./first.mjs,./second.mjs')).stderr).toBe(
      'otaflux: --plugin ./second.mjs: it brings a registry, and ./first.mjs brings one already. Leave one of them out\n',
    );
  });
});
