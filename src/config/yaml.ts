import type { Document, Node, Pair, YAMLParseError } from 'yaml';
import { ExplainedError } from '../errors.js';
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
  if (problem) throw new ExplainedError(problemOf(problem), { cause: problem });
  return plain(document.contents, document, new Set());
}

/** What is wrong, and where; the parser's own words are about its grammar. */
function problemOf({ code, linePos, message }: YAMLParseError): string {
  const [start] = linePos ?? [];
  const place = start ? `line ${start.line}, column ${start.col}: ` : '';
  return (
    place +
    (WORDS[code] ??
      (message.includes('indent')
        ? 'the indentation is wrong. Indent keys of one level alike'
        : 'this is not YAML. Check quotes and colons'))
  );
}

const WORDS: Readonly<Partial<Record<YAMLParseError['code'], string>>> = {
  BAD_ALIAS: 'the alias has no anchor. Text that begins with * needs quotes',
  BAD_DQ_ESCAPE: 'an escape in double quotes is wrong. Use single quotes for text with backslashes',
  BAD_INDENT: 'the indentation is wrong, or a bracket is not closed. Indent keys of one level alike',
  BAD_SCALAR_START: 'text that begins with this character needs quotes',
  BLOCK_AS_IMPLICIT_KEY: 'a value that begins here needs a line of its own. Begin a new line',
  DUPLICATE_KEY: 'the key is given twice. Remove one of them',
  MISSING_CHAR: 'a quote, a bracket or a colon is missing. Add it',
  MULTILINE_IMPLICIT_KEY: 'a colon is missing, or text over several lines needs quotes',
  TAB_AS_INDENT: 'a tab is used for indentation. Use spaces',
  UNEXPECTED_TOKEN: 'this character is not expected here. Text with it needs quotes',
};

function plain(node: unknown, document: Document, within: Set<unknown>): unknown {
  if (isAlias(node)) {
    const target = node.resolve(document);
    if (!target)
      throw new Error(`the alias *${node.source} has no anchor &${node.source}. Text that begins with * needs quotes`);
    if (within.has(target)) throw new Error(`the alias *${node.source} contains itself. Remove it`);
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
