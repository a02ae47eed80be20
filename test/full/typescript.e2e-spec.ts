import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { blocksOf } from '../docs/page.js';
import { firmwareBytes, versionBody } from '../support/bytes.js';
import { expectStop, stopped } from '../support/leftovers.js';
import { PackedPackage, versionOf } from '../support/packed-package.js';
import { itWith, Mosquitto, REQUIRED } from '../support/real-server.js';
import { until } from '../support/service.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const firmware = firmwareBytes(20_000);
/** What examples/typescript/package.json asks for beside otaflux. */
const NEST = ['common', 'config', 'core', 'microservices', 'platform-express', 'terminus'].map(
  (name) => `@nestjs/${name}`,
);
const OTHERS = [...NEST, 'reflect-metadata', 'rxjs', '@types/node'];

/** The TypeScript of a page; applications listen on a free port, and say so. */
function modulesOf(page: string): string[] {
  return blocksOf(page)
    .filter(({ language }) => language === 'ts')
    .map(({ text }) =>
      text.replace('app.listen(8080);', 'app.listen(0);\nconsole.log(`listening on ${await app.getUrl()}`);'),
    );
}

interface Manifest {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
}

describe('examples/typescript, built against the packed package,', () => {
  let project: PackedPackage;
  let example = '';
  const inExample = (...names: string[]): string => join(example, ...names);
  const writeVersion = (version: string): void => {
    mkdirSync(inExample('firmware/line-1/sensor'), { recursive: true });
    writeFileSync(inExample('firmware/line-1/sensor', `${version}.bin`), firmware);
  };

  beforeAll(() => {
    project = new PackedPackage(OTHERS);
    example = join(project.folder, 'example');
    cpSync(join(ROOT, 'examples/typescript'), example, { recursive: true });
    // The page's modules are compiled with the example, which is what a reader starts from.
    for (const [index, text] of modulesOf('docs/extending.md').entries())
      writeFileSync(inExample('src', `page-${index}.ts`), text);
    writeVersion('1.0.0');
  }, 720_000);
  afterAll(() => {
    project.remove();
  });

  /** A process in the folder of the example, and its lines on standard output. */
  const launch = (args: string[], env: NodeJS.ProcessEnv = {}): { child: ChildProcess; lines: string[] } => {
    const child = spawn(process.execPath, args, {
      cwd: example,
      env: {
        PATH: process.env.PATH,
        TEST_RUN_ID: process.env.TEST_RUN_ID,
        LISTEN_ADDR: '127.0.0.1:0',
        METRICS_LISTEN_ADDR: '127.0.0.1:0',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    expectStop(child, () => child.kill('SIGKILL'));
    child.once('exit', () => {
      stopped(child);
    });
    const lines: string[] = [];
    createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
    return { child, lines };
  };
  const serve = async (): Promise<{ child: ChildProcess; url: string }> => {
    const args = [project.main, '--plugin', './dist/plugin.js', '--log-format', 'json'];
    const { child, lines } = launch(args);
    const address = (): string | undefined =>
      /"server.ready".*"address":"([^"]*)"/.exec(lines.find((line) => line.includes('server.ready')) ?? '')?.[1];
    await until(() => child.exitCode !== null || address() !== undefined, 'the server');
    return { child, url: `http://${address() ?? lines.join('\n')}` };
  };
  const end = async (child: ChildProcess): Promise<unknown> => {
    const exited = once(child, 'exit');
    child.kill();
    return (await exited)[0];
  };
  const logged = (): unknown[] =>
    existsSync(inExample('releases.jsonl'))
      ? readFileSync(inExample('releases.jsonl'), 'utf8')
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as unknown)
      : [];

  it('asks for what this repository is tested with', () => {
    const { dependencies, devDependencies } = JSON.parse(readFileSync(inExample('package.json'), 'utf8')) as Manifest;
    const asked = Object.keys({ ...dependencies, ...devDependencies });
    expect(asked.sort()).toEqual([...OTHERS, 'otaflux', 'typescript'].sort());
    for (const name of [...OTHERS, 'typescript'])
      expect(versionOf(name).split('.')[0]).toBe(/\d+/.exec(dependencies[name] ?? devDependencies[name] ?? '')?.[0]);
  });

  it('compiles with the strictest settings, declaration files of all packages included', () => {
    const { compilerOptions } = JSON.parse(readFileSync(inExample('tsconfig.json'), 'utf8')) as {
      compilerOptions: Record<string, unknown>;
    };
    expect(compilerOptions).toMatchObject({ strict: true, exactOptionalPropertyTypes: true, declaration: true });
    expect(compilerOptions).not.toHaveProperty('skipLibCheck');
    const compilers = [join(ROOT, 'node_modules/typescript')];
    if (REQUIRED) {
      // The newest of the major version before, which many projects are at.
      project.install('typescript@~5.9.3');
      compilers.push(join(project.folder, 'node_modules/typescript'));
    }
    for (const compiler of compilers) {
      const { status, stdout } = spawnSync(process.execPath, [join(compiler, 'bin/tsc')], {
        cwd: example,
        encoding: 'utf8',
      });
      expect({ compiler, status, stdout }).toEqual({ compiler, status: 0, stdout: '' });
    }
  });

  it('serves plain files to devices, updates them in one request, and logs each release once', async () => {
    let { child, url } = await serve();
    expect(await (await fetch(`${url}/version?device=line-1/sensor`)).text()).toBe(versionBody('1.0.0', firmware));
    const image = await fetch(`${url}/firmware?device=line-1/sensor`);
    expect(Buffer.from(await image.arrayBuffer()).equals(firmware)).toBe(true);
    expect((await fetch(`${url}/version?device=nobody`)).status).toBe(404);

    expect((await fetch(`${url}/update/line-1/sensor/1.0.0`)).status).toBe(204);
    const update = await fetch(`${url}/update/line-1/sensor/0.9.0`);
    expect(update.headers.get('x-firmware-version')).toBe('1.0.0');
    expect(Buffer.from(await update.arrayBuffer()).equals(firmware)).toBe(true);
    expect((await fetch(`${url}/update/LINE/1.0.0`)).status).toBe(400);
    expect((await fetch(`${url}/update/nobody/1.0.0`)).status).toBe(404);

    await until(() => logged().length === 1, 'the first line');
    expect(logged()).toEqual([{ at: expect.any(String), device: 'line-1/sensor', version: '1.0.0', size: 20_000 }]);
    expect(await end(child)).toBe(0);

    // What is in the file when the server starts is not written again.
    writeVersion('1.1.0');
    ({ child, url } = await serve());
    await fetch(`${url}/version?device=line-1/sensor`);
    await until(() => logged().length > 1, 'the second line');
    expect(logged()[1]).toMatchObject({ device: 'line-1/sensor', version: '1.1.0' });
    expect(await end(child)).toBe(0);
    ({ child, url } = await serve());
    await fetch(`${url}/version?device=line-1/sensor`);
    expect(await end(child)).toBe(0);
    expect(logged()).toHaveLength(2);
  });

  /** An application that has said where it listens. */
  const listening = async (
    args: string[],
    env: NodeJS.ProcessEnv,
  ): Promise<{ child: ChildProcess; url: string; lines: string[] }> => {
    const { child, lines } = launch(args, { NO_COLOR: '1', ...env });
    const port = (): string | undefined => /^listening on .*:(\d+)$/m.exec(lines.join('\n'))?.[1];
    await until(() => child.exitCode !== null || port() !== undefined, 'the application');
    return { child, lines, url: `http://127.0.0.1:${port() ?? lines.join('\n')}` };
  };

  it('is an application of your own, with OtaFlux as one of its modules', async () => {
    const { child, url } = await listening(['dist/application.js'], { PORT: '0' });
    expect(await (await fetch(`${url}/releases`)).json()).toEqual([]);
    const version = (await (await fetch(`${url}/version?device=line-1/sensor`)).text()).split('\n')[0];
    expect(version).toBe('1.1.0');
    expect(await (await fetch(`${url}/releases`)).json()).toEqual([
      { device: 'line-1/sensor', version: '1.1.0', pending: [] },
    ]);
    expect((await (await fetch(`${url}/versions?device=line-1/sensor`)).json()) as string[]).toEqual(
      expect.arrayContaining(['1.0.0', '1.1.0']),
    );
    // Nest raises the signal again when it has closed.
    expect(await end(child)).toBeNull();
  });

  it('holds the application of docs/extending.md, too', async () => {
    const registry = join(ROOT, 'test/fixtures/layouts');
    const page = modulesOf('docs/extending.md').findIndex((text) => text.includes('NestFactory'));
    const { child, url } = await listening([`dist/page-${page}.js`], { REGISTRY_URL: `oci:${registry}` });
    const version = (await (await fetch(`${url}/version?device=esp32`)).text()).split('\n')[0];
    expect(version).toMatch(/^\d+\.\d+\.\d+/);
    expect(await (await fetch(`${url}/current?device=esp32`)).text()).toBe(version);
    await end(child);
  });

  itWith(['mosquitto'], 'holds the handlers of messages of docs/extending.md, too', async () => {
    const broker = await new Mosquitto().start();
    const page = modulesOf('docs/extending.md').findIndex((text) => text.includes('connectEvents'));
    const { child, lines } = await listening([`dist/page-${page}.js`], {
      REGISTRY_URL: `oci:${join(ROOT, 'test/fixtures/layouts')}`,
      EVENTS: `mqtt://127.0.0.1:${broker.port}`,
    });
    const publisher = await mqtt.connectAsync(`mqtt://127.0.0.1:${broker.port}`);
    await until(async () => {
      await publisher.publishAsync('sensors/a/temperature', '21', { qos: 1 });
      return lines.some((line) => line.includes('sensors/a/temperature: 21'));
    }, 'the line of the handler');
    await publisher.endAsync();
    await end(child);
    await broker.stop();
  });
});
