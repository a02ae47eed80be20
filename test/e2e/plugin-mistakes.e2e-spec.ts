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
    'export default { notifiers: [{ publish() {} }, {}] };',
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
  ['broken.mjs', 'export default {;', /Unexpected token/],
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
