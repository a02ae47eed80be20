import { describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const markdown = (folder: string): string[] =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name));
const PAGES = [...markdown('.'), ...markdown('docs'), ...markdown('docs/protocols'), ...markdown('docs/decisions')];
const read = (page: string): string => readFileSync(join(ROOT, page), 'utf8');

/** The anchors of the headings of a page, as GitHub makes them. */
function anchorsOf(text: string): string[] {
  const headings = [...text.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.*)$/gm)].map(
    (match) => match[1] ?? '',
  );
  return headings.map((heading) =>
    heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-'),
  );
}

describe('the documentation', () => {
  it.each(PAGES)('%s links to what is there', (page) => {
    const targets = [...read(page).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map((match) => match[1] ?? '');
    const missing = targets.filter((target) => !existsSync(join(ROOT, dirname(page), target)));
    expect(missing).toEqual([]);
  });

  it.each(PAGES)('%s links to headings that are there', (page) => {
    const links = [...read(page).matchAll(/\]\((?!https?:)([^)#]*)#([^)]+)\)/g)];
    const missing = links
      .map(([, target = '', anchor = '']) => ({ path: target === '' ? page : join(dirname(page), target), anchor }))
      .filter(({ path }) => path.endsWith('.md') && existsSync(join(ROOT, path)))
      .filter(({ path, anchor }) => !anchorsOf(read(path)).includes(anchor));
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
