import { describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, parseAllDocuments } from 'yaml';
import { firmwareBytes } from '../support/bytes.js';
import { hasProgram } from '../support/real-server.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const markdown = (folder: string): string[] =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name));
const PAGES = [...markdown('.'), ...markdown('docs'), ...markdown('docs/decisions')];
const read = (page: string): string => readFileSync(join(ROOT, page), 'utf8');

/** The blocks of a page that say of themselves that they run. */
function blocks(page: string): string[] {
  return [...read(page).matchAll(/<!-- runs in the tests -->\n+```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('the documentation', () => {
  const runnable = PAGES.filter((page) => blocks(page).length > 0);

  it('has blocks that run', () => {
    expect(runnable).toEqual(expect.arrayContaining(['README.md', 'docs/devices.md', 'docs/registries.md']));
  });

  (hasProgram('curl') ? it.each(runnable) : it.skip.each(runnable))('runs as %s prints it', async (page) => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-docs-'));
    writeFileSync(join(folder, 'firmware.bin'), firmwareBytes(50_000));
    writeFileSync(join(folder, 'otaflux'), `#!/bin/sh\nexec ${process.execPath} ${ROOT}dist/main.js "$@"\n`);
    chmodSync(join(folder, 'otaflux'), 0o755);
    const [port, management] = [await freePort(), await freePort()];
    const script = `set -eu; trap 'kill $(jobs -p) && wait' EXIT\n${blocks(page).join('\n')}`
      .replaceAll('localhost:8080', `127.0.0.1:${port}`)
      .replaceAll('localhost:9090', `127.0.0.1:${management}`)
      .replaceAll(/^curl /gm, 'curl -fS ');
    const { status, stdout, stderr } = spawnSync('bash', ['-c', script], {
      cwd: folder,
      encoding: 'utf8',
      timeout: 60_000,
      env: {
        ...process.env,
        PATH: `${folder}:${process.env.PATH ?? ''}`,
        LISTEN_ADDR: `127.0.0.1:${port}`,
        METRICS_LISTEN_ADDR: `127.0.0.1:${management}`,
      },
    });
    rmSync(folder, { recursive: true });
    expect({ status, output: status === 0 ? '' : stdout + stderr }).toEqual({ status: 0, output: '' });
  });

  it.each(PAGES)('%s has no block that its own language refuses', (page) => {
    for (const [, language, text = ''] of read(page).matchAll(/```(sh|yaml|json)\n([\s\S]*?)```/g)) {
      if (language === 'yaml') expect(parseAllDocuments(text).flatMap(({ errors }) => errors)).toEqual([]);
      else if (language === 'json') expect(() => JSON.parse(text) as unknown).not.toThrow();
      else expect(spawnSync('bash', ['-n', '-c', text], { encoding: 'utf8' }).stderr).toBe('');
    }
  });

  it.each(PAGES)('%s links to what is there', (page) => {
    const targets = [...read(page).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map((match) => match[1] ?? '');
    const missing = targets.filter((target) => !existsSync(join(ROOT, dirname(page), target)));
    expect(missing).toEqual([]);
  });

  it('explains every log event', () => {
    const events = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.spec.ts'))
      .flatMap((name) => [...readFileSync(join(ROOT, 'src', name), 'utf8').matchAll(/event: [^\n,]*?'[a-z_.' :]+/g)])
      .flatMap((match) => match[0].match(/[a-z_]+\.[a-z_]+/g) ?? []);
    expect(events.length).toBeGreaterThan(10);
    const page = read('docs/troubleshooting.md');
    expect([...new Set(events)].filter((event) => !page.includes(`\`${event}\``))).toEqual([]);
  });

  it('names, in workflows, scripts that are there', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    for (const name of readdirSync(join(ROOT, '.github/workflows'))) {
      const workflow = parse(read(`.github/workflows/${name}`)) as { jobs: object };
      expect(Object.keys(workflow.jobs).length).toBeGreaterThan(0);
      const used = [...read(`.github/workflows/${name}`).matchAll(/npm run ([\w:]+)/g)].map((match) => match[1] ?? '');
      expect(used.filter((script) => !(script in scripts))).toEqual([]);
    }
  });

  it('releases the image under the tag that the chart asks for', () => {
    const { jobs } = parse(read('.github/workflows/release.yaml')) as {
      jobs: { image: { steps: { id?: string; run?: string; with?: { tags?: string } }[] } };
    };
    const { appVersion } = parse(read('helm/otaflux/Chart.yaml')) as { appVersion: string };
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-docs-'));
    const output = join(folder, 'output');
    const run = jobs.image.steps.find(({ id }) => id === 'version')?.run ?? '';
    spawnSync('bash', ['-c', run], {
      env: { ...process.env, GITHUB_REF_NAME: `v${appVersion}`, GITHUB_OUTPUT: output },
    });
    const [name, version = ''] = readFileSync(output, 'utf8').trim().split('=');
    rmSync(folder, { recursive: true });
    const tags = jobs.image.steps.flatMap((step) => step.with?.tags?.trim().split('\n') ?? []);
    expect(tags.map((tag) => tag.replace(`\${{ steps.version.outputs.${name} }}`, version))).toEqual([
      `\${{ env.IMAGE }}:${appVersion}`,
      '${{ env.IMAGE }}:latest',
    ]);
  });

  it('has no path of a machine in it', () => {
    expect(
      PAGES.filter((page) => /\/(?:home|root|work)\/[a-z]/.test(read(page))).map((page) => relative('.', page)),
    ).toEqual([]);
  });
});
