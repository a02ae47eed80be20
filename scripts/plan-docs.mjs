/** The reference of plans for docs/plan.md, from their JSON Schema. */
import { planJsonSchema } from '../dist/plan/schema.js';
import * as z from 'zod';

/** What `docs/plan.md` says below its own text. */
const REFERENCE = '<!-- Generated from src/plan/schema.ts by `npm run docs`: everything below this line. -->';

export const planSchemaText = () => `${JSON.stringify(planJsonSchema(z), undefined, 2)}\n`;

export function planPage(page) {
  const [own] = page.split(REFERENCE);
  const schema = planJsonSchema(z, ({ expected }) => ({ 'x-expected': expected }));
  const tables = [
    ['Plan', schema],
    ['channels.NAME', schema.properties.channels.additionalProperties],
    ['units[]', schema.properties.units.items],
    ['rollouts[]', schema.properties.rollouts.items],
    ['rollouts[].stages[]', schema.properties.rollouts.items.properties.stages.items],
    ['rollouts[].stages[].until', schema.properties.rollouts.items.properties.stages.items.properties.until],
    ['rollouts[].halt', schema.properties.rollouts.items.properties.halt],
    ['rollouts[].window', schema.properties.rollouts.items.properties.window],
  ];
  return `${own}${REFERENCE}\n\n## Reference\n\n${tables.map(([title, object]) => section(title, object)).join('\n')}`;
}

function section(title, { description, properties, required = [] }) {
  const rows = Object.entries(properties).map(
    ([name, value]) =>
      `| \`${name}\`${required.includes(name) ? ' (required)' : ''} | ${cell(value.description)} | ${cell(takes(value))} |`,
  );
  const heading = title === 'Plan' ? title : `\`${title}\``;
  return `### ${heading}\n\n${description}\n\n| key | meaning | value |\n| --- | --- | --- |\n${rows.join('\n')}\n`;
}

const cell = (text = '') => text.replaceAll('|', '\\|').replaceAll('<', '\\<');

function takes({ type, 'x-expected': expected, items, maxItems, additionalProperties }) {
  if (expected !== undefined) return expected;
  if (type === 'array')
    return `a list of at most ${maxItems} ${items['x-expected'] === undefined ? 'entries' : 'values'}`;
  return additionalProperties === false ? 'keys and values, see below' : 'keys and values';
}
