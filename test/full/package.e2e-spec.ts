import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { blocksOf } from '../docs/page.js';
import { firmwareBytes } from '../support/bytes.js';
import { expectStop, stopped } from '../support/leftovers.js';
import { PackedPackage } from '../support/packed-package.js';
import { RawClient } from '../support/raw-client.js';
import { REQUIRED } from '../support/real-server.js';
import { S3Server } from '../support/s3-server.js';
import { until } from '../support/service.js';
import { hasTools, runTool } from '../support/tools.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const firmware = firmwareBytes(20_000);

/** The packed package in a project of a user, and the examples. */
describe('the package', () => {
  let folder = '';
  let main = '';
  let tarball = '';
  let project: PackedPackage;

  beforeAll(() => {
    // What the examples and the team's application import is their own to install.
    const nest = ['common', 'config', 'core', 'platform-express', 'terminus'].map((name) => `@nestjs/${name}`);
    project = new PackedPackage(['aws4fetch', ...nest, 'reflect-metadata', 'rxjs']);
    ({ folder, main, tarball } = project);
    cpSync(join(ROOT, 'examples'), join(folder, 'examples'), { recursive: true });
    writeFileSync(join(folder, 'firmware.bin'), firmware);
    const push = (version: string): void => {
      const args = [main, 'push', 'line-1/esp32', version, 'firmware.bin', '--registry-url', 'oci:registry'];
      expect(spawnSync(process.execPath, args, { cwd: folder }).status).toBe(0);
    };
    push('1.0.0');
    push('1.1.0');
  }, 720_000);
  afterAll(() => {
    project.remove();
  });

  /** A process that logs where it listens, or what it says before it ends. */
  const launch = async (
    args: string[],
    env: NodeJS.ProcessEnv = {},
  ): Promise<{ port: number; child: ChildProcess }> => {
    const child = spawn(process.execPath, args, {
      cwd: folder,
      env: {
        PATH: process.env.PATH,
        TEST_RUN_ID: process.env.TEST_RUN_ID,
        LISTEN_ADDR: '127.0.0.1:0',
        METRICS_LISTEN_ADDR: '127.0.0.1:0',
        LOG_FORMAT: 'json',
        ...env,
      },
    });
    expectStop(child, () => child.kill('SIGKILL'));
    child.once('exit', () => {
      stopped(child);
    });
    let output = '';
    child.stderr.on('data', (piece: Buffer) => (output += piece.toString()));
    const lines = createInterface({ input: child.stdout });
    for await (const line of lines) {
      output += `${line}\n`;
      const port = /"server.ready".*"address":"[^"]*:(\d+)"/.exec(line)?.[1] ?? /^port (\d+)$/.exec(line)?.[1];
      if (port !== undefined) return { port: Number(port), child };
    }
    throw new Error(output);
  };
  const end = async (child: ChildProcess): Promise<number | null> => {
    const exited = once(child, 'exit');
    child.kill();
    return (await exited)[0] as number | null;
  };

  it('holds what is needed, and nothing else', () => {
    const { stdout } = spawnSync('tar', ['-tzf', tarball], { encoding: 'utf8' });
    const names = stdout
      .trim()
      .split('\n')
      .map((name) => name.replace('package/', ''));
    expect(names.filter((name) => !name.startsWith('dist/')).sort()).toEqual(
      ['CHANGELOG.md', 'LICENSE', 'README.md', 'config/otaflux.yaml', 'package.json'].sort(),
    );
    expect(names.filter((name) => /\.spec\.|\.tsbuildinfo$/.test(name))).toEqual([]);
    const { size } = statSync(tarball);
    // Nest with its microservices and the other libraries of the server are in it: dist/bundle.
    expect(size).toBeLessThan(2_000_000);
  });

  (hasTools || REQUIRED ? it : it.skip)('has exports and types that resolve for everybody', () => {
    expect(runTool('publint', ['--strict', tarball])).toEqual({ status: 0, output: '' });
    expect(runTool('attw', [tarball, '--profile', 'esm-only', '--no-emoji'])).toEqual({ status: 0, output: '' });
  });

  (hasTools || REQUIRED ? it : it.skip)('has the public interface that etc/otaflux.api.md reports', () => {
    // npm run api writes it anew; what it shows is a breaking change or a new feature.
    expect(runTool('api-extractor', ['run', '--config', 'api-extractor.json'], ROOT)).toEqual({
      status: 0,
      output: '',
    });
  });

  it('serves a device in the program of docs/extending.md', async () => {
    const [program] = blocksOf('docs/extending.md').filter(({ text }) => text.includes('Service.start({'));
    writeFileSync(join(folder, 'app.mjs'), `${program?.text ?? ''}console.log(\`port \${service.address.port}\`);\n`);
    const { port, child } = await launch(['app.mjs'], { REGISTRY_URL: 'oci:registry' });
    const answer = await fetch(`http://127.0.0.1:${port}/version?device=line-1/esp32`);
    expect((await answer.text()).split('\n')[0]).toBe('1.1.0');
    expect(await end(child)).toBe(0);
  });

  it('is a module in a Nest application of a team, with options that a factory finds', async () => {
    writeFileSync(
      join(folder, 'nest-app.mjs'),
      `import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { OtaFluxModule } from 'otaflux';
class OwnController { hello() { return 'hello'; } }
Controller('hello')(OwnController);
Get()(OwnController.prototype, 'hello', Object.getOwnPropertyDescriptor(OwnController.prototype, 'hello'));
class OwnModule {}
Module({ controllers: [OwnController], imports: [OtaFluxModule.forRootAsync({ useFactory: async () => ({ REGISTRY_URL: 'oci:registry' }) })] })(OwnModule);
const app = await NestFactory.create(OwnModule, { logger: false, bodyParser: false });
app.enableShutdownHooks();
await app.listen(0, '127.0.0.1');
console.log(\`port \${app.getHttpServer().address().port}\`);
`,
    );
    const { port, child } = await launch(['nest-app.mjs']);
    expect(await (await fetch(`http://127.0.0.1:${port}/hello`)).text()).toBe('hello');
    const client = await RawClient.open(port);
    const answer = await client.request('GET /version?device=line-1/esp32 HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(answer.body.toString()).toMatch(/^1\.1\.0\n\d+\n20000$/);
    const image = await client.request('GET /firmware?device=line-1/esp32 HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(image.body.equals(firmware)).toBe(true);
    client.close();
    const hook = await fetch(`http://127.0.0.1:${port}/webhooks/generic`, {
      method: 'POST',
      body: '{"repository":"line-1/esp32"}',
    });
    expect(await hook.json()).toEqual({ queued: 1 });
    expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
    await end(child);
  });

  it('serves from a bucket, by examples/s3-registry.mjs', async () => {
    const bucket = new S3Server(join(folder, 'registry'));
    const env = { S3_URL: await bucket.start(), AWS_ACCESS_KEY_ID: 'key-id', AWS_SECRET_ACCESS_KEY: 'secret' };
    const { port, child } = await launch([main, '--plugin', './examples/s3-registry.mjs'], env);
    const image = await fetch(`http://127.0.0.1:${port}/firmware?device=line-1/esp32&version=1.0.0`);
    expect(Buffer.from(await image.arrayBuffer()).equals(firmware)).toBe(true);
    expect((await fetch(`http://127.0.0.1:${port}/version?device=nobody`)).status).toBe(404);
    expect(bucket.keys).toEqual(
      expect.arrayContaining(['line-1/esp32/index.json', expect.stringMatching(/blobs\/sha256\//)]),
    );
    await end(child);
    await bucket.stop();
  });

  it('tells a chat, by examples/slack-notifier.mjs', async () => {
    const texts: string[] = [];
    const chat: Server = createServer((request, response) => {
      request.on('data', (piece: Buffer) => texts.push((JSON.parse(piece.toString()) as { text: string }).text));
      request.on('end', () => response.end('ok'));
    }).listen(0, '127.0.0.1');
    await once(chat, 'listening');
    const env = {
      SLACK_URL: `http://127.0.0.1:${(chat.address() as AddressInfo).port}/x`,
      REGISTRY_URL: 'oci:registry',
    };
    const { port, child } = await launch(
      [main, '--plugin', 'examples/slack-notifier.mjs', '--state-dir', 'state'],
      env,
    );
    await fetch(`http://127.0.0.1:${port}/version?device=line-1/esp32`);
    await until(() => texts.length === 1, 'the message');
    expect(texts).toEqual([':rocket: *line-1/esp32* is now at 1.1.0 (20000 bytes)']);
    await end(child);
    chat.closeAllConnections();
    chat.close();
  });

  it('updates an ESP8266 as Arduino has it, by examples/esp8266-protocol.mjs, under the same limits and identities', async () => {
    const env = { REGISTRY_URL: 'oci:registry', DEVICE_URL_SECRET: 's3cret-of-16-characters' };
    const { port, child } = await launch([main, '--plugin', './examples/esp8266-protocol.mjs'], env);
    const signed = spawnSync(
      process.execPath,
      [main, 'sign-url', 'line-1/esp32', '--device-url-secret', 's3cret-of-16-characters', '--json'],
      { cwd: folder, encoding: 'utf8' },
    );
    const { version } = JSON.parse(signed.stdout) as { version: string };
    const url = `http://127.0.0.1:${port}/update?${version.split('?')[1]}`;
    const updater = { 'User-Agent': 'ESP8266-http-Update' };
    const update = await fetch(url, { headers: { ...updater, 'x-ESP8266-version': '1.0.0' } });
    expect(update.headers.get('x-md5')).toMatch(/^[0-9a-f]{32}$/);
    expect(Buffer.from(await update.arrayBuffer()).equals(firmware)).toBe(true);
    expect((await fetch(url, { headers: { ...updater, 'x-ESP8266-version': '1.1.0' } })).status).toBe(304);
    const md5 = update.headers.get('x-md5') ?? '';
    expect((await fetch(url, { headers: { ...updater, 'x-ESP8266-sketch-md5': md5.toUpperCase() } })).status).toBe(304);
    expect((await fetch(url, { headers: { ...updater, 'x-ESP8266-sketch-md5': '0'.repeat(32) } })).status).toBe(200);
    expect((await fetch(url)).status).toBe(403);
    expect((await fetch(url, { method: 'POST', headers: updater })).status).toBe(404);
    const nobody = url.replaceAll('line-1/esp32', 'nobody');
    expect([401, 403]).toContain((await fetch(nobody, { headers: updater })).status);
    expect(
      (
        await fetch(`http://127.0.0.1:${port}/update?device=line-1/esp32`, {
          headers: { ...updater, 'x-ESP8266-version': '1.0.0' },
        })
      ).status,
    ).toBe(401);
    await end(child);
  });

  it.each([
    ['./not-there.mjs', /--plugin \.\/not-there\.mjs: there is no file/],
    ['./empty.mjs', /--plugin \.\/empty\.mjs: it has no default export/],
    ['./odd.mjs', /--plugin \.\/odd\.mjs: it brings brokers, which is no part\. Expected registry, verifier/],
    ['./throws.mjs', /--plugin \.\/throws\.mjs: needs a key/],
    ['./examples/s3-registry.mjs', /S3_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are needed/],
    ['no-such-package', /--plugin no-such-package: .*no package of this name is installed/],
  ])('names a plug-in that is wrong: %s', async (plugin, message) => {
    writeFileSync(join(folder, 'empty.mjs'), 'export const x = 1;\n');
    writeFileSync(join(folder, 'odd.mjs'), 'export default { brokers: [] };\n');
    writeFileSync(join(folder, 'throws.mjs'), "export default () => { throw new Error('needs a key'); };\n");
    await expect(launch([main, '--plugin', plugin, '--registry-url', 'oci:registry'])).rejects.toThrow(message);
    expect(readFileSync(join(folder, 'empty.mjs'), 'utf8')).toContain('x');
  });
});
