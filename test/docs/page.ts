import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What the comment before a block says about it. CONTRIBUTING.md describes the marks. */
export type Mark =
  /** `runs in the tests` or `runs in a second terminal`, `… with cosign, registry`, `… until "ready"`, `… and fails` */
  | {
      readonly kind: 'runs';
      readonly needs: readonly string[];
      readonly until: string | undefined;
      readonly fails: boolean;
      readonly inSecondTerminal: boolean;
    }
  /** `runs in the cluster test`, `runs in test/e2e/samples.e2e-spec.ts` */
  | { readonly kind: 'elsewhere'; readonly file: string }
  /** `not run: REASON`, `not run here: REASON` */
  | { readonly kind: 'not-run'; readonly reason: string }
  /** `file: NAME` */
  | { readonly kind: 'file'; readonly name: string }
  /** `output` */
  | { readonly kind: 'output' };

/** A fenced block of a page. */
export interface Block {
  readonly page: string;
  /** The line of its opening fence, from 1. */
  readonly line: number;
  readonly language: string;
  readonly text: string;
  readonly mark: Mark | undefined;
}

/** `docs/tutorial.md:12 sh`, for the names of tests. */
export const nameOf = ({ page, line, language }: Block): string => `${page}:${line} ${language || 'text'}`;

/** README.md, then each page in docs/ in the order of the site's navigation, then the others. */
export function pages(): string[] {
  const navigation = readFileSync(join(ROOT, 'docs/.vitepress/config.mjs'), 'utf8');
  const order = [...navigation.matchAll(/page\('[^']*', '([^']+)'\)/g)].map((match) => `docs/${match[1] ?? ''}.md`);
  const there = ['docs', 'docs/protocols'].flatMap((folder) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `${folder}/${name}`),
  );
  const listed = order.filter((page) => there.includes(page));
  return ['README.md', ...listed, ...there.filter((page) => !listed.includes(page)), 'CONTRIBUTING.md', 'SECURITY.md'];
}

/** The fenced blocks of a page in their order. Throws for a mark that is misspelt. */
export function blocksOf(page: string, text = readFileSync(join(ROOT, page), 'utf8')): Block[] {
  const blocks: Block[] = [];
  let open: { fence: string; indent: number; block: Omit<Block, 'text'>; lines: string[] } | undefined;
  let comment: string | undefined;
  for (const [index, line] of text.split('\n').entries()) {
    if (open) {
      if (line.trim() === open.fence) {
        blocks.push({ ...open.block, text: open.lines.map((text) => `${text}\n`).join('') });
        open = undefined;
      } else open.lines.push(line.slice(0, open.indent).trim() === '' ? line.slice(open.indent) : line);
      continue;
    }
    const [, indent = '', fence, language = ''] = /^( *)(`{3,}|~{3,})\s*([\w+-]*)/.exec(line) ?? [];
    if (fence !== undefined) {
      const where = `${page}:${index + 1}`;
      const mark = comment === undefined ? undefined : markOf(comment, where);
      open = { fence, indent: indent.length, block: { page, line: index + 1, language, mark }, lines: [] };
      comment = undefined;
    } else if (line.trim() !== '') comment = /^\s*<!--\s*(.*?)\s*-->\s*$/.exec(line)?.[1];
  }
  if (open) throw new Error(`${page}:${open.block.line}: the block has no end`);
  return blocks;
}

const CLUSTER_TEST = 'test/cluster/kubernetes.cluster-spec.ts';

/** Undefined for a comment about something else. */
function markOf(comment: string, where: string): Mark | undefined {
  const reason = /^not run(?: here)?: (.+)$/.exec(comment)?.[1];
  if (reason !== undefined) return { kind: 'not-run', reason };
  const name = /^file: (\S+)$/.exec(comment)?.[1];
  if (name !== undefined) return { kind: 'file', name };
  if (comment === 'output') return { kind: 'output' };
  if (comment === 'runs in the cluster test') return { kind: 'elsewhere', file: CLUSTER_TEST };
  const file = /^runs in (test\/\S+)$/.exec(comment)?.[1];
  if (file !== undefined) return { kind: 'elsewhere', file };
  const runs =
    /^runs in (the tests|a second terminal)(?: with ([\w-]+(?:, [\w-]+)*))?(?: until "(.+)"|( and fails))?$/.exec(
      comment,
    );
  if (runs) {
    const [, place, needs, until, fails] = runs;
    const inSecondTerminal = place === 'a second terminal';
    return { kind: 'runs', needs: needs?.split(', ') ?? [], until, fails: fails !== undefined, inSecondTerminal };
  }
  if (/^(?:runs?|not run|file|output)\b/.test(comment)) throw new Error(`${where}: unknown mark: ${comment}`);
  return undefined;
}
