import type { Document, Node, Pair } from 'yaml';
import { isAlias, isMap, isScalar, isSeq, parseDocument, Scalar } from 'yaml';

/**
 * Returns the content of a YAML text. Scalars stay as they are written: `0123456`, `1e10`, `0x1F`, `no` and
 * `2024-01-01` may be passwords or names. An option that accepts a number or a boolean parses it. A missing value is
 * undefined.
 *
 * @throws Error with one line that says what is wrong
 */
export function parseYaml(text: string): unknown {
  const document = parseDocument(text, { prettyErrors: true });
  const [problem] = document.errors;
  if (problem) throw new Error(problem.message.split('\n')[0] ?? '');
  return plain(document.contents, document, new Set());
}

function plain(node: unknown, document: Document, within: Set<unknown>): unknown {
  if (isAlias(node)) {
    const target = node.resolve(document);
    if (!target) throw new Error(`there is no anchor &${node.source}`);
    if (within.has(target)) throw new Error(`the alias *${node.source} holds itself`);
    return plain(target, document, within);
  }
  if (isScalar(node)) return textOf(node);
  if (!isMap(node) && !isSeq(node)) return undefined;
  const inner = new Set([...within, node]);
  if (isSeq(node)) return node.items.map((item) => plain(item, document, inner));
  const entries = (node.items as Pair<Node, Node | null>[]).map(({ key, value }) => [
    String(plain(key, document, inner)),
    plain(value, document, inner),
  ]);
  return Object.fromEntries(entries);
}

function textOf({ type, source, value }: Scalar): string | undefined {
  if (type !== Scalar.PLAIN || typeof value === 'string') return typeof value === 'string' ? value : source;
  return source === undefined || source === '' ? undefined : source;
}
