/** `npm run licences`: the licence of every package that a production install has; fails for one that is not on the list. */
import { readFileSync } from 'node:fs';

const ALLOWED = new Set([
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BlueOak-1.0.0',
  'Unlicense',
  'Python-2.0',
  'CC0-1.0',
]);

/** An expression is fine when one side of every OR is (SPDX, annex D). */
function isAllowed(expression) {
  return expression
    .replace(/[()]/g, '')
    .split(' OR ')
    .some((side) => side.split(' AND ').every((name) => ALLOWED.has(name.trim())));
}

const { packages } = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8'));
const rows = Object.entries(packages)
  .filter(([path, { dev, devOptional }]) => path && !dev && !devOptional)
  .map(([path, { version, license }]) => ({
    name: path.replace(/^.*node_modules\//, ''),
    version,
    license: license ?? licenceIn(path),
  }))
  .sort((a, b) => (a.name < b.name ? -1 : 1));

/** Old packages have it in their own manifest only. */
function licenceIn(path) {
  const { license, licenses } = JSON.parse(readFileSync(new URL(`../${path}/package.json`, import.meta.url), 'utf8'));
  return license?.type ?? license ?? licenses?.map(({ type }) => type).join(' OR ') ?? 'none';
}

for (const { name, version, license } of rows) console.log(`${license.padEnd(14)} ${name}@${version}`);
const refused = rows.filter(({ license }) => !isAllowed(license));
for (const { name, license } of refused)
  console.error(`${name}: ${license} is not on the list of scripts/licences.mjs`);
process.exitCode = refused.length > 0 ? 1 : 0;
