import { styleText } from 'node:util';
import type { Settings } from '../config/index.js';
import type { EspImage } from '../esp-image.js';
import type { Candidate } from '../firmware/select-version.js';
import { sizeText } from '../quantities.js';
import { isGood, shortDigest, type CheckedVersion } from './checked-version.js';
import { examine, type Survey } from './version-checker.js';
import { byPlan, notedByPlan } from './by-plan.js';
import { indented } from './layout.js';
import { fitted } from './progress.js';
import { isColourful, tableOf } from './table.js';

const NOTE_INDENT = 4;

export interface ListOptions {
  /** So many of the newest versions; 0 for all. */
  readonly limit: number;
  readonly json?: boolean;
}

/** A line of the list. */
type Row = CheckedVersion & {
  /** Why the server does not look at the version at all. */
  readonly ignored: string | null;
  /** What the header of an ESP image says. */
  readonly esp: EspHeader | null;
  /** What the plan says about the version. */
  readonly planned: string | null;
};

interface EspHeader {
  /** Null for a chip that is not known. */
  readonly chip: string | null;
  /** Lowest revision of the chip, such as 301 for v3.1. */
  readonly minRevision: number;
  readonly project: string | null;
  readonly version: string | null;
}

/** Prints the versions of `device`, and resolves to the exit code. */
export function list(settings: Settings, device: string, { limit, json }: ListOptions): Promise<number> {
  return examine(settings, device, async (checker, repository, clear) => {
    const all = await checker.all();
    const eligible = new Set(checker.eligible(all).map(({ tag }) => tag));
    const survey = await checker.survey(all, limit === 0 ? all : all.slice(0, limit));
    const rows = await Promise.all(
      survey.rows.map(async (row) => ({
        ...row,
        ignored: eligible.has(row.tag) ? null : ignoredBecause(row, settings),
        esp: headerOf(await checker.espImage(row)),
        planned: notedByPlan(survey.plan, row.version) ?? null,
      })),
    );
    clear();
    const lines = json ? [asJson(repository, rows, survey, all)] : asTable(rows, survey, all, device);
    for (const line of lines) process.stdout.write(`${line}\n`);
    return survey;
  });
}

function headerOf(image: EspImage | undefined): EspHeader | null {
  if (!image) return null;
  const { chipFamily = null, minChipRevision: minRevision, app } = image;
  return { chip: chipFamily, minRevision, project: app?.projectName ?? null, version: app?.version ?? null };
}

/** Only two options leave a version out. */
function ignoredBecause({ version }: Candidate, { prereleases, minVersion }: Settings): string {
  const isPrerelease = (version.split('+', 1)[0] ?? '').includes('-');
  return !prereleases && isPrerelease
    ? 'pre-release (--no-prereleases)'
    : `older than --min-version ${minVersion ?? ''}`;
}

function asJson(
  repository: string,
  rows: readonly Row[],
  { current, plan }: Survey,
  all: readonly Candidate[],
): string {
  const versions = rows.map((row) => ({ ...row, current: row.tag === current?.tag }));
  return JSON.stringify({
    repository,
    current: current?.version ?? null,
    plan: plan?.serial ?? null,
    total: all.length,
    versions,
  });
}

function asTable(
  rows: readonly Row[],
  { current, failure, plan }: Survey,
  all: readonly Candidate[],
  device: string,
): string[] {
  const hasChips = rows.some(({ esp }) => esp);
  const cells = rows.map((row) => [
    row.tag === current?.tag ? '→' : ' ',
    row.version,
    row.created?.replace(/:\d\d\.\d+Z$/, 'Z').replace('T', ' ') ?? '-',
    row.size === null ? '-' : sizeText(row.size),
    shortDigest(row),
    ...(hasChips ? [chipOf(row), imageOf(row)] : []),
    signerOf(row),
    noteOf(row),
  ]);
  const head = [' ', 'VERSION', 'DATE', 'SIZE', 'DIGEST', ...(hasChips ? ['CHIP', 'IMAGE'] : []), 'SIGNED BY', 'NOTE'];
  const lines = fittingLines([head, ...cells], process.stdout.columns || Infinity).flatMap((part, index) =>
    part.map((line) => paint(line, rows[index - 1])),
  );
  if (rows.length < all.length) lines.push(`${rows.length} of ${all.length} versions are listed. --limit 0 lists all.`);
  if (failure !== undefined) return lines;
  if (plan) lines.push(byPlan(plan, current, device));
  else if (!current) lines.push('Devices get none of these versions.');
  else if (!rows.some(({ tag }) => tag === current.tag)) lines.push(`Devices get ${current.version}.`);
  return lines;
}

/** Returns the lines of each row. On a terminal that is too narrow, the last cell is below its row. */
function fittingLines(cells: readonly (readonly string[])[], width: number): string[][] {
  const table = tableOf(cells);
  if (table.every((line) => line.length <= width)) return table.map((line) => [line]);
  return tableOf(cells.map((row) => row.slice(0, -1))).map((line, index) => {
    const note = index === 0 ? '' : (cells[index]?.at(-1) ?? '');
    return [fitted(line, width), ...(note ? indented(note, width, NOTE_INDENT) : [])];
  });
}

/** The chip, and its lowest revision if there is one. */
function chipOf({ esp }: Row): string {
  if (!esp) return '-';
  const { chip, minRevision } = esp;
  return `${chip ?? 'unknown'}${minRevision > 0 ? ` v${Math.floor(minRevision / 100)}.${minRevision % 100}+` : ''}`;
}

/** What the image says that it is. */
function imageOf({ esp }: Row): string {
  return [esp?.project, esp?.version].filter((text) => text).join(' ') || '-';
}

/** A fingerprint is as short as a digest. */
function signerOf({ signer }: Row): string {
  return signer?.replaceAll(/(sha256:[0-9a-f]{12})[0-9a-f]{52}/g, '$1…') ?? '-';
}

/** Why the server passes the version over, and the tag where it is not the usual one. */
function noteOf({ version, tag, ignored, reason, result, planned }: Row): string {
  const why = ignored ?? (reason === null || result === 'no-firmware' ? reason : `${result}: ${reason}`);
  const usual = tag === version.replace('+', '_');
  return [
    ...(why === null ? [] : [why]),
    ...(planned === null ? [] : [planned]),
    ...(usual ? [] : [`tag ${tag}`]),
  ].join('; ');
}

/** Green could be served, red could not; only on a terminal. */
function paint(text: string, row: Row | undefined): string {
  if (!isColourful()) return text;
  if (!row) return styleText('bold', text);
  return styleText(isGood(row) && row.ignored === null ? 'green' : 'red', text);
}
