import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Without the library of the language, whose types take the compiler two seconds. */
const COMPILER_OPTIONS = {
  target: 'ES2023',
  module: 'nodenext',
  declaration: true,
  outDir: 'dist',
  rootDir: 'src',
  types: [],
  noLib: true,
};
const NEEDED_TYPES = [
  'Array<T>',
  'Boolean',
  'CallableFunction',
  'Function',
  'IArguments',
  'NewableFunction',
  'Number',
].concat(['Object', 'RegExp', 'String']);

/** `node scripts/build.mjs --if-changed`, which runs before the tests, the demo and `npm pack`. */
describe('a build when something has changed', () => {
  let folder = '';
  const write = (path: string, text: string): void => {
    writeFileSync(join(folder, path), text);
  };
  const build = (): string => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/build.mjs', '--if-changed'], {
      cwd: folder,
      encoding: 'utf8',
    });
    if (status !== 0) return `failed: ${stdout}${stderr}`;
    return stderr === '' ? 'nothing to do' : 'built';
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'otaflux-build-'));
    mkdirSync(join(folder, 'src/room'), { recursive: true });
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(join(ROOT, 'node_modules/typescript'), join(folder, 'node_modules/typescript'));
    cpSync(join(ROOT, 'scripts/build.mjs'), join(folder, 'scripts/build.mjs'));
    write('scripts/bundle.mjs', '');
    write('package.json', '{"type":"module"}');
    write('package-lock.json', '{}');
    write('tsconfig.json', '{}');
    write('tsconfig.build.json', JSON.stringify({ compilerOptions: COMPILER_OPTIONS, include: ['src'] }));
    write('src/needed.d.ts', NEEDED_TYPES.map((name) => `interface ${name} {}\n`).join(''));
    write('src/a.ts', "export { b } from './room/b.js';\n");
    write('src/room/b.ts', 'export const b = 1;\n');
    expect(build()).toBe('built');
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it('does nothing the second time', () => {
    expect(build()).toBe('nothing to do');
  });

  it('does nothing when only a test has changed', () => {
    write('src/a.spec.ts', 'no TypeScript at all');
    expect(build()).toBe('nothing to do');
  });

  it.each([
    ['a source', 'src/room/b.ts', 'export const b = 2;\n'],
    ['a new source', 'src/c.ts', 'export const c = 1;\n'],
    ['a dependency', 'package-lock.json', '{"lockfileVersion":3}'],
  ])('builds when %s has changed', (_what, path, text) => {
    write(path, text);
    expect(build()).toBe('built');
    expect(build()).toBe('nothing to do');
  });

  it('takes a changed source into dist, and what comes of a removed one out', () => {
    write('src/room/b.ts', 'export const b = 3;\n');
    write('src/old.ts', 'export const old = 1;\n');
    build();
    expect(readFileSync(join(folder, 'dist/room/b.js'), 'utf8')).toContain('b = 3');
    expect(existsSync(join(folder, 'dist/old.js'))).toBe(true);
    rmSync(join(folder, 'src/old.ts'));
    expect(build()).toBe('built');
    expect(existsSync(join(folder, 'dist/old.js'))).toBe(false);
    expect(existsSync(join(folder, 'dist/old.d.ts'))).toBe(false);
  });

  it.each(['dist/room/b.js', 'dist/a.d.ts', 'dist'])('builds when %s is missing', (path) => {
    rmSync(join(folder, path), { recursive: true });
    expect(build()).toBe('built');
    expect(existsSync(join(folder, 'dist/room/b.js'))).toBe(true);
    expect(existsSync(join(folder, 'dist/a.d.ts'))).toBe(true);
  });

  it('builds when a file of dist was changed by hand', () => {
    write('dist/room/b.js', 'export const b = 7;\n');
    expect(build()).toBe('built');
    expect(readFileSync(join(folder, 'dist/room/b.js'), 'utf8')).toContain('b = 1');
  });

  it('builds again after a build that failed', () => {
    write('src/a.ts', 'export const a: string = 1;\n');
    expect(build()).toContain('failed');
    expect(build()).toContain('failed');
    write('src/a.ts', 'export const a = 1;\n');
    expect(build()).toBe('built');
  });
});
