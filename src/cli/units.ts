import { styleText } from 'node:util';
import { csvOf, type UnitsPage, type UnitStatus } from '../control/units.js';
import type { Identity, UnitIdentity } from '../identity.js';
import { ask, EXIT_FAILURE, EXIT_NOT_ASKED, refuse, type ControlledServer } from './server-request.js';
import { isColourful, tableOf } from './table.js';

const PAGE = 1_000;

/** Prints the units of a product, page by page, or one unit; resolves to the exit code. */
export async function units(
  server: ControlledServer,
  { product, unit }: Identity,
  format: 'json' | 'csv' | 'table',
  most: number,
): Promise<number> {
  if (unit !== undefined) return one(server, product, unit, format);
  let printed = 0;
  for (let after: string | undefined; ;) {
    const limit = Math.min(PAGE, most - printed);
    const answer = await ask(server, 'GET', 'units', {
      product,
      limit: String(limit),
      ...(after !== undefined && { after }),
    });
    if (!answer) return EXIT_NOT_ASKED;
    if (answer.code !== 200) return refuse(server, answer);
    const page = JSON.parse(answer.body) as UnitsPage;
    if (format === 'csv') process.stdout.write(csvOf(page.units, after === undefined));
    else if (format === 'json') for (const found of page.units) process.stdout.write(`${JSON.stringify(found)}\n`);
    else printPage(page, after === undefined);
    printed += page.units.length;
    if (page.next === null || printed >= most) break;
    after = page.next;
  }
  if (printed > 0) return 0;
  process.stderr.write(
    `otaflux: the server knows no unit of ${product}. Check the device id. A unit is known after its first request that names it, such as /version?device=${product}&unit=ID\n`,
  );
  return EXIT_FAILURE;
}

async function one(
  server: ControlledServer,
  product: string,
  unit: string,
  format: 'json' | 'csv' | 'table',
): Promise<number> {
  const answer = await ask(server, 'GET', 'units', { product, unit });
  if (!answer) return EXIT_NOT_ASKED;
  if (answer.code !== 200) return refuse(server, answer);
  const found = JSON.parse(answer.body) as UnitStatus;
  if (format === 'json') process.stdout.write(`${answer.body}\n`);
  else if (format === 'csv') process.stdout.write(csvOf([found], true));
  else process.stdout.write(`${tableOf(rowsOf(found)).join('\n')}\n`);
  return 0;
}

/** Makes the server offer a failed release to a unit again; resolves to the exit code. */
export async function retry(server: ControlledServer, { product, unit }: UnitIdentity, json: boolean): Promise<number> {
  const answer = await ask(server, 'POST', 'units/retry', { product, unit });
  if (!answer) return EXIT_NOT_ASKED;
  if (answer.code !== 200) return refuse(server, answer);
  const { forgotten } = JSON.parse(answer.body) as { forgotten: UnitStatus['outcome'] };
  if (json) process.stdout.write(`${answer.body}\n`);
  else if (forgotten)
    process.stdout.write(
      `${unit}: the outcome "${forgotten.outcome}" of ${forgotten.version ?? 'its last update'} is forgotten. The unit is offered the current release again at its next request\n`,
    );
  else
    process.stdout.write(`${unit}: no outcome was stored. The unit is offered the current release unless it runs it\n`);
  return 0;
}

/** Makes the server forget a unit; resolves to the exit code. */
export async function forget(
  server: ControlledServer,
  { product, unit }: UnitIdentity,
  json: boolean,
): Promise<number> {
  const answer = await ask(server, 'POST', 'units/forget', { product, unit });
  if (!answer) return EXIT_NOT_ASKED;
  if (answer.code !== 200) return refuse(server, answer);
  process.stdout.write(json ? `${answer.body}\n` : `${unit}: forgotten. The unit is new at its next request\n`);
  return 0;
}

function printPage({ product, total, byVersion, units: listed }: UnitsPage, isFirst: boolean): void {
  if (isFirst && listed.length > 0) {
    const versions = Object.entries(byVersion).map(([version, count]) => `${count} × ${version}`);
    process.stdout.write(
      `${product}: ${total} ${total === 1 ? 'unit' : 'units'}${versions.length > 0 ? `, ${versions.slice(0, 5).join(', ')}` : ''}\n\n`,
    );
  }
  const head = ['UNIT', 'RUNNING', 'OFFERED', 'OUTCOME', 'LAST SEEN', 'HARDWARE', 'PROTOCOL'];
  const rows = listed.map(({ unit, running, offered, outcome, lastSeen, hardware, protocol }) => [
    unit,
    running ?? '-',
    offered?.version ?? '-',
    outcome ? [outcome.outcome, outcome.version ?? ''].join(' ').trim() : '-',
    lastSeen.replace(/\.\d+Z$/, 'Z'),
    hardware ?? '-',
    protocol ?? '-',
  ]);
  const [title = '', ...lines] = tableOf([head, ...rows]);
  const shown = isFirst && listed.length > 0 ? [isColourful() ? styleText('bold', title) : title, ...lines] : lines;
  for (const line of shown) process.stdout.write(`${line}\n`);
}

function rowsOf(found: UnitStatus): string[][] {
  const { offered, outcome } = found;
  return [
    ['unit', found.unit],
    ['running', found.running ?? '-'],
    ['hardware', found.hardware ?? '-'],
    ['protocol', found.protocol ?? '-'],
    ['first seen', found.firstSeen],
    ['last seen', found.lastSeen],
    ['offered', offered ? `${offered.version} at ${offered.at}` : '-'],
    ['outcome', outcome ? `${outcome.outcome} ${outcome.version ?? ''} at ${outcome.at}`.replace('  ', ' ') : '-'],
    ...(outcome?.message == null ? [] : [['message', outcome.message]]),
    ...Object.entries(found.attributes).map(([name, value]) => [name, value]),
  ];
}
