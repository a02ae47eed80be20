import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { satisfies } from 'semver';
import { REQUIRED } from '../support/real-server.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NODES = ['20.19.0', '22.12.0', '24.0.0', '26.0.0'];
const NEST = ['common', 'config', 'core', 'platform-express', 'terminus'].map((name) => `@nestjs/${name}`);
const HOST = `import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { OtaFluxModule } from 'otaflux';
class HostModule {}
Module({ imports: [OtaFluxModule.forRoot({ options: { REGISTRY_URL: 'oci:registry' } })] })(HostModule);
const app = await NestFactory.create(HostModule, { logger: false, bodyParser: false });
await app.listen(0, '127.0.0.1');
const url = \`http://127.0.0.1:\${app.getHttpServer().address().port}\`;
const asked = async (path, init) => (await fetch(url + path, init)).text();
const hook = { method: 'POST', body: '{"repository":"esp32"}' };
console.log((await asked('/version?device=esp32')).split('\\n')[0], await asked('/webhooks/generic', hook));
await app.close();
`;

interface Locked {
  readonly packages: Record<string, { version?: string; engines?: { node?: string }; hasInstallScript?: boolean }>;
}

/** The packed tarball, installed by npm as its users do. */
(REQUIRED ? describe : describe.skip)('npm install of the packed tarball (needs a package registry)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-install-'));
  let tarball = '';

  beforeAll(() => {
    const args = ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder];
    tarball = join(folder, spawnSync('npm', args, { cwd: ROOT, encoding: 'utf8' }).stdout.trim());
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  /** Installs `packages` into a new folder; returns its path, and what npm printed. */
  const install = (name: string, packages: string[]): { path: string; printed: string } => {
    const path = join(folder, name);
    mkdirSync(path);
    writeFileSync(join(path, 'package.json'), '{"type":"module"}');
    const { stdout, stderr } = spawnSync('npm', ['install', '--prefer-offline', ...packages], {
      cwd: path,
      encoding: 'utf8',
    });
    return { path, printed: stdout + stderr };
  };
  const lockOf = (path: string): Locked =>
    JSON.parse(readFileSync(join(path, 'node_modules/.package-lock.json'), 'utf8')) as Locked;

  it('has no warning, no install script, and nothing that excludes a Node from 20.19 to 26', () => {
    const { path, printed } = install('alone', [tarball]);
    expect(printed).not.toContain('npm warn');
    const excluded = Object.entries(lockOf(path).packages).filter(
      ([, { engines, hasInstallScript }]) =>
        hasInstallScript === true || NODES.some((node) => !satisfies(node, engines?.node ?? '*')),
    );
    expect(excluded).toEqual([]);
    const command = spawnSync(join(path, 'node_modules/.bin/otaflux'), ['--version'], { encoding: 'utf8' });
    expect(command.stdout.trim()).toBe(
      (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version,
    );
  }, 360_000);

  it('shares the Nest 12 of an application that has one', () => {
    const { path } = install('nest-12', [...NEST.map((name) => `${name}@12`), 'reflect-metadata', 'rxjs']);
    spawnSync('npm', ['install', '--prefer-offline', tarball], { cwd: path });
    const versions = Object.entries(lockOf(path).packages)
      .filter(([name]) => NEST.some((nest) => name.endsWith(`node_modules/${nest}`)))
      .map(([name, { version = '' }]) => `${name} ${version.split('.')[0]}`);
    expect(versions).toEqual(NEST.map((name) => `node_modules/${name} 12`));
    cpSync(join(ROOT, 'test/fixtures/layouts'), join(path, 'registry'), { recursive: true });
    writeFileSync(join(path, 'host.mjs'), HOST);
    const { stdout, stderr } = spawnSync(process.execPath, ['host.mjs'], { cwd: path, encoding: 'utf8' });
    expect(stdout + stderr).toMatch(/^\d+\.\d+\.\d+\S* \{"queued":1\}\n$/);
  }, 360_000);
});
