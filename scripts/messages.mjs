/**
 * Reads every text that a user can see from the syntax trees of `src`: error messages, answers, reasons in the log,
 * output of the commands, and the names of log events. `docs/messages.yaml` is the reviewed list of them;
 * test/e2e/messages.e2e-spec.ts compares the two (decision 43).
 *
 * `node scripts/messages.mjs` prints the texts that are missing in the list, and the entries that no source contains.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { parse } from 'yaml';

const SOURCES = new URL('../src/', import.meta.url);
export const LIST = new URL('../docs/messages.yaml', import.meta.url);
/** Stands for a value that is filled in. */
const BLANK = '…';

/** Help, descriptions of metrics, of the HTTP interface and of plans: they have pages of their own. */
const DESCRIPTIONS = {
  files: [/^cli\/program\.ts$/, /^control\/openapi\.ts$/, /^metrics\/[a-z-]+-meter\.ts$/, /^plan\/schema\.ts$/],
  calls: [
    ...['summary', 'description', 'argument', 'option', 'addOption', 'addHelpText', 'helpOption', 'version'],
    ...['withExamples', 'withExitCodes'],
  ],
  constructors: ['Flag', 'Argument'],
  members: ['help', 'description', 'summary', 'section'],
  constants: ['ANSWERED', 'QUESTIONS'],
};
/** Scripts for shells, grammars and formats: no sentences, though they contain spaces. */
const NO_TEXTS = {
  files: [
    /\/redis\/(?:claim-)?scripts\.ts$/,
    /^cli\/completion\.ts$/,
    /^http-date\.ts$/,
    /^logging\/create-logger\.ts$/,
  ],
  forms: [
    /^(?:Bearer|Basic) …$/,
    /^bytes …/,
    /^… sha256:…$/,
    /^-----BEGIN/,
    /^HTTP\/1\.1/,
    /^[a-z]+\/[a-z0-9.+-]+;/,
    /^GET, HEAD$/,
    /^Bearer realm=/,
  ],
};
/** Errors and answers, whose texts count even if they are a single word. */
const MESSAGE_CLASS =
  /(?:Error|Exception|Refusal|Firmware|Manifest|Signature|Unreadable|WrongSize|Undeliverable|NotNow)$/;

/** Returns the texts of one file as `{ text, kind, line }`. `kind` is `event` for the name of a log event, otherwise `text`. */
export function textsIn(source, fileName = 'source.ts') {
  const tree = ts.createSourceFile(fileName, source, ts.ScriptTarget.Latest, true);
  const found = [];
  const visit = (node) => {
    if (isSkipped(node)) return;
    const text = textOf(node)?.trim();
    if (text !== undefined) {
      const kind = isEventName(node, text) ? 'event' : 'text';
      const isShown = kind === 'event' || ((isSentence(text) || isInMessage(node)) && !isNoText(text));
      const line = tree.getLineAndCharacterOfPosition(node.getStart()).line + 1;
      if (isShown) found.push({ text, kind, line });
    }
    if (isDescribing(node)) visit(node.expression);
    else ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

/** Returns all texts of `src`, each once, with the places that contain it. */
export function allTexts() {
  const root = fileURLToPath(SOURCES);
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts'))
    .filter((file) => ![...DESCRIPTIONS.files, ...NO_TEXTS.files].some((pattern) => pattern.test(file)));
  const texts = new Map();
  for (const file of files.sort())
    for (const { text, kind, line } of textsIn(readFileSync(root + file, 'utf8'), file)) {
      const key = `${kind} ${text}`;
      if (!texts.has(key)) texts.set(key, { text, kind, places: [] });
      texts.get(key).places.push(`src/${file}:${line}`);
    }
  return [...texts.values()];
}

/** Returns the reviewed list. */
export function reviewed() {
  return parse(readFileSync(LIST, 'utf8'));
}

/** Returns what is missing in the list, and what the list has and no source contains. */
export function differences(texts = allTexts(), list = reviewed()) {
  const listed = {
    text: new Set([
      ...list.areas.flatMap(({ messages = [], parts = [] }) => [...messages.map(({ text }) => text), ...parts]),
      ...list.other,
    ]),
    event: new Set(Object.keys(list.events)),
  };
  const inSource = { text: new Set(), event: new Set() };
  for (const { text, kind } of texts) inSource[kind].add(text);
  return {
    missing: texts.filter(({ text, kind }) => !listed[kind].has(text)),
    surplus: ['text', 'event'].flatMap((kind) => [...listed[kind]].filter((text) => !inSource[kind].has(text))),
  };
}

/** The text of a literal, with blanks for values; undefined for other nodes and for parts of a larger text. */
function textOf(node) {
  if (isPlus(node.parent)) return undefined;
  if (!isPlus(node)) return literalOf(node);
  const parts = partsOf(node);
  return parts.some((part) => part !== BLANK) ? parts.join('') : undefined;
}

function literalOf(node) {
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return node.text;
  if (!ts.isTemplateExpression(node)) return undefined;
  return node.head.text + node.templateSpans.map(({ literal }) => BLANK + literal.text).join('');
}

const isPlus = (node) =>
  node !== undefined && ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken;

function partsOf(node) {
  return isPlus(node) ? [...partsOf(node.left), ...partsOf(node.right)] : [literalOf(node) ?? BLANK];
}

/** Whether two words follow each other, as in no name, header or media type. */
function isSentence(text) {
  return /[A-Za-z…'")\]][,;:.]?\s+[A-Za-z…'"([]/.test(text) && /[A-Za-z]{2}/.test(text);
}

function isNoText(text) {
  return /^[…\s:.,;()@/=-]*$/.test(text) || NO_TEXTS.forms.some((form) => form.test(text));
}

/** Whether a literal is a reason, or an argument of an error or an answer. */
function isInMessage(node) {
  if (isMember(node, 'reason')) return true;
  const { parent } = node;
  if (!ts.isNewExpression(parent) || !MESSAGE_CLASS.test(parent.expression.getText())) return false;
  // The first argument of an OtaError is its code.
  return parent.arguments?.indexOf(node) !== 0 || parent.expression.getText() !== 'OtaError';
}

/** Whether a literal is the name of a log event, also one of several in a table or a condition. */
function isEventName(node, text) {
  if (!/^[a-z]+\.[a-z_]+$/.test(text)) return false;
  const { parent } = node;
  const member = ts.isConditionalExpression(parent) ? parent : node;
  return (
    isMember(member, 'event') ||
    (ts.isArrayLiteralExpression(parent) && parent.elements[0]?.kind === ts.SyntaxKind.NumericLiteral)
  );
}

function isMember(node, name) {
  const { parent } = node;
  return ts.isPropertyAssignment(parent) && parent.initializer === node && parent.name.getText() === name;
}

function isSkipped(node) {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node) || ts.isTypeNode(node)) return true;
  if (ts.isPropertyAssignment(node)) return DESCRIPTIONS.members.includes(node.name.getText());
  if (ts.isVariableDeclaration(node)) return DESCRIPTIONS.constants.includes(node.name.getText());
  if (ts.isNewExpression(node)) return DESCRIPTIONS.constructors.includes(node.expression.getText());
  return false;
}

/** A call such as `.summary(…)`, whose arguments are help. */
function isDescribing(node) {
  if (!ts.isCallExpression(node)) return false;
  if (node.expression.getText() === 'Symbol') return true;
  return ts.isPropertyAccessExpression(node.expression) && DESCRIPTIONS.calls.includes(node.expression.name.text);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { missing, surplus } = differences();
  for (const { text, places } of missing) console.log(`missing: ${JSON.stringify(text)} (${places.join(', ')})`);
  for (const text of surplus) console.log(`surplus: ${JSON.stringify(text)}`);
  process.exitCode = missing.length + surplus.length === 0 ? 0 : 1;
}
