/** Fills the tables of docs/troubleshooting.md from docs/messages.yaml. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { reviewed } from './messages.mjs';

const PAGE = new URL('../docs/troubleshooting.md', import.meta.url);

const cell = (text) => String(text).replaceAll('|', '\\|').replaceAll('\n', ' ');
const code = (text) => `\`${text.replaceAll('`', "'")}\``;
const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n');

const TABLES = {
  answers: ({ answers }) =>
    table(
      ['response', 'cause', 'action'],
      answers.map(({ status, cause, action }) => [status, cause, action]),
    ),
  events: ({ events }) =>
    table(
      ['event', 'level', 'meaning', 'action'],
      Object.entries(events).map(([name, { level, means, action = '' }]) => [code(name), level, means, action]),
    ),
  messages: ({ areas }) =>
    table(
      ['message', 'explanation'],
      areas.flatMap(({ messages = [] }) =>
        messages.filter(({ help }) => help !== undefined).map(({ text, help }) => [code(text), help]),
      ),
    ),
};

/** Returns the page with current tables, as prettier formats it. */
export async function troubleshooting() {
  const list = reviewed();
  const filled = readFileSync(PAGE, 'utf8').replace(
    /(<!-- table: (\w+) -->\n)[\s\S]*?(<!-- end of table -->)/g,
    (_all, begin, name, end) => `${begin}\n${TABLES[name](list)}\n\n${end}`,
  );
  const path = fileURLToPath(PAGE);
  return format(filled, { ...(await resolveConfig(path)), filepath: path });
}
