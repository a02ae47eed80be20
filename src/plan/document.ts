import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';
import { PlanError, type PlanProblem } from './plan.js';

/** A larger plan is refused before it is parsed. */
export const MAX_PLAN_BYTES = 256 * 1024;
/** 10,000 rules with an attribute have half of it. Aliases count as often as they are used. */
const MAX_NODES = 150_000;
const MAX_DEPTH = 20;

type Path = readonly PropertyKey[];

/** A YAML text as plain values, and the places of these values. Scalars stay as they are written: `1.10` is a version. */
export interface PlanDocument {
  readonly value: unknown;
  /** Returns the place of the value at `path`, or of the nearest value around it. With `key`, that of this key in it. */
  place(path: Path, key?: string): { readonly line: number; readonly column: number };
}

/** The parser, loaded with the first plan: the start must not wait for it. */
let library: typeof Yaml | undefined;

/** @throws PlanError */
export function readDocument(text: string): PlanDocument {
  if (Buffer.byteLength(text) > MAX_PLAN_BYTES)
    throw atStart(`the plan has ${Buffer.byteLength(text)} bytes, more than the limit of ${MAX_PLAN_BYTES}`);
  library ??= createRequire(import.meta.url)('yaml') as typeof Yaml;
  const yaml = library;
  const lines = new yaml.LineCounter();
  const document = parse(yaml, text, lines);
  const placeOf = (offset: number): { line: number; column: number } => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const [problem] = document.errors;
  if (problem)
    throw new PlanError([{ ...placeOf(problem.pos[0]), path: '', message: wordsFor(problem) }], { cause: problem });
  const value = new Reader(yaml, document, placeOf).read(document.contents);
  return {
    value,
    place: (path, key) => placeOf(offsetOf(yaml, document, path, key)),
  };
}

function parse(yaml: typeof Yaml, text: string, lineCounter: Yaml.LineCounter): Yaml.Document.Parsed {
  try {
    return yaml.parseDocument(text, { prettyErrors: false, uniqueKeys: false, lineCounter, logLevel: 'silent' });
  } catch (error) {
    throw atStart('this is not YAML that can be read. Check quotes, brackets and indentation', error);
  }
}

function atStart(message: string, cause?: unknown): PlanError {
  return new PlanError([{ line: 1, column: 1, path: '', message }], { cause });
}

/** The parser's own words are about its grammar. */
function wordsFor({ code, message }: Yaml.YAMLParseError): string {
  return (
    WORDS[code] ??
    (message.includes('indent')
      ? 'the indentation is wrong. Indent keys of one level alike'
      : 'this is not YAML. Check quotes and colons')
  );
}

const WORDS: Readonly<Partial<Record<Yaml.YAMLParseError['code'], string>>> = {
  BAD_ALIAS: 'text that begins with * needs quotes',
  BAD_DQ_ESCAPE: 'an escape in double quotes is wrong. Use single quotes for text with backslashes',
  BAD_INDENT: 'the indentation is wrong, or a bracket is not closed. Indent keys of one level alike',
  BAD_SCALAR_START: 'text that begins with this character needs quotes',
  BLOCK_AS_IMPLICIT_KEY: 'a value that begins here needs a line of its own. Begin a new line',
  MISSING_CHAR: 'a quote, a bracket or a colon is missing. Add it',
  MULTILINE_IMPLICIT_KEY: 'a colon is missing, or text over several lines needs quotes',
  MULTIPLE_DOCS: 'a second document begins here, expected one',
  RESOURCE_EXHAUSTION: 'the values are nested too deeply',
  TAB_AS_INDENT: 'a tab is used for indentation. Use spaces',
  UNEXPECTED_TOKEN: 'this character is not expected here. Text with it needs quotes',
};

/** Turns nodes into values, up to limits that an alias in an alias would break. */
class Reader {
  private nodes = 0;

  constructor(
    private readonly yaml: typeof Yaml,
    private readonly document: Yaml.Document,
    private readonly placeOf: (offset: number) => { line: number; column: number },
  ) {}

  read(node: unknown, depth = 0, path: Path = []): unknown {
    const { isAlias, isMap, isScalar, isSeq } = this.yaml;
    if (++this.nodes > MAX_NODES) throw this.problem(node, path, `it has more than ${MAX_NODES} values`);
    if (depth > MAX_DEPTH)
      throw this.problem(node, path, 'the values are nested too deeply, or an alias contains itself');
    if (isAlias(node)) {
      const target = node.resolve(this.document);
      if (!target)
        throw this.problem(
          node,
          path,
          `the alias *${node.source.slice(0, 50)} has no anchor. Text that begins with * needs quotes`,
        );
      return this.read(target, depth + 1, path);
    }
    if (isScalar(node)) return this.textOf(node);
    if (isSeq(node)) return node.items.map((item, index) => this.read(item, depth + 1, [...path, index]));
    if (!isMap(node)) return undefined;
    const values = new Map<string, unknown>();
    for (const { key, value } of node.items) {
      const name = this.nameOf(key, depth, path);
      if (values.has(name))
        throw this.problem(
          key,
          path,
          `the key ${JSON.stringify(name.slice(0, 50))} is given twice. Remove one of them`,
        );
      if (name === '__proto__') throw this.problem(key, path, 'unknown key "__proto__"');
      values.set(name, this.read(value, depth + 1, [...path, name]));
    }
    return Object.fromEntries(values);
  }

  private nameOf(key: unknown, depth: number, path: Path): string {
    const name = this.read(key, depth + 1, path);
    if (typeof name === 'string') return name;
    throw this.problem(key, path, 'a key is empty, or is a list or keys and values. Expected text');
  }

  private textOf({ type, source, value }: Yaml.Scalar): string | undefined {
    if (type !== 'PLAIN' || typeof value === 'string') return typeof value === 'string' ? value : source;
    return source === '' ? undefined : source;
  }

  private problem(node: unknown, path: Path, message: string): PlanError {
    const offset = this.yaml.isNode(node) ? (node.range?.[0] ?? 0) : 0;
    return new PlanError([{ ...this.placeOf(offset), path: pathText(path), message }]);
  }
}

function offsetOf(yaml: typeof Yaml, document: Yaml.Document, path: Path, key?: string): number {
  let node: unknown = document.contents;
  let offset = startOf(yaml, node) ?? 0;
  for (const step of key === undefined ? path : [...path, key]) {
    if (yaml.isAlias(node)) node = node.resolve(document);
    if (yaml.isSeq(node)) node = node.items[Number(step)];
    else if (yaml.isMap(node)) {
      const pair = node.items.find((item) => keyOf(yaml, document, item.key) === String(step));
      if (!pair) return offset;
      offset = startOf(yaml, pair.key) ?? offset;
      node = pair.value;
      if (key !== undefined && step === key) return offset;
    } else return offset;
    offset = startOf(yaml, node) ?? offset;
  }
  return offset;
}

function keyOf(yaml: typeof Yaml, document: Yaml.Document, key: unknown): string | undefined {
  const node = yaml.isAlias(key) ? key.resolve(document) : key;
  return yaml.isScalar(node) ? String(node.value) : undefined;
}

function startOf(yaml: typeof Yaml, node: unknown): number | undefined {
  return yaml.isNode(node) ? node.range?.[0] : undefined;
}

/** `rollouts[0].stages[1].for` */
export function pathText(path: Path): string {
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`))
    .join('')
    .replace(/^\./, '');
}

export type { PlanProblem };
