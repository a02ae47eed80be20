import { styleText } from 'node:util';
import type { Settings } from '../config/index.js';
import { OtaError, reasonOf } from '../errors.js';
import { sizeText } from '../quantities.js';
import { Examiner, repositoryOf } from './examination.js';
import { isColourful, tableOf } from './table.js';
import { versionsOf, type ListedVersion, type Versions } from './versions.js';

const EXIT_NONE = 1;
const EXIT_NOT_ASKED = 3;

export interface ListOptions {
  readonly limit: number;
  readonly json: boolean;
}

/** Prints the versions of `device`; resolves to the exit code. */
export async function list(settings: Settings, device: string, { limit, json }: ListOptions): Promise<number> {
  const repository = repositoryOf(device, settings);
  const examiner = await Examiner.create(settings);
  try {
    const versions = await versionsOf(examiner, repository, settings, { limit }, new AbortController().signal);
    process.stdout.write(json ? jsonOf(repository, versions) : textOf(versions));
    return 0;
  } catch (error) {
    if (!(error instanceof OtaError)) throw error;
    process.stderr.write(`otaflux: ${reasonOf(error)}\n`);
    return error.code === 'absent' ? EXIT_NONE : EXIT_NOT_ASKED;
  } finally {
    await examiner.registry.close();
  }
}

function jsonOf(repository: string, { listed, current, total }: Versions): string {
  const versions = listed.map(
    ({ version, tag, status, createdAt, sizeBytes, digest, result, signer, signedAt, reason }) => ({
      ...{ version, tag, status, createdAt, sizeBytes, digest: digest || null, result, signer, signedAt, reason },
    }),
  );
  return `${JSON.stringify({ repository, current: current?.version ?? null, total, versions })}\n`;
}

function textOf({ listed, current, total }: Versions): string {
  const [head = '', ...rows] = tableOf([
    [' ', 'VERSION', 'CREATED', 'SIZE', 'DIGEST', 'SIGNED BY', 'NOTE'],
    ...listed.map(cellsOf),
  ]);
  const lines = isColourful()
    ? [styleText('bold', head), ...rows.map((row, index) => painted(row, listed[index]))]
    : [head, ...rows];
  if (!current) lines.push('Devices get no version.');
  if (listed.length < total) lines.push(`Showing ${listed.length} of ${total} versions. Use --limit to see more.`);
  return `${lines.join('\n')}\n`;
}

function cellsOf({ version, createdAt, sizeBytes, digest, signer, status, reason }: ListedVersion): string[] {
  return [
    status === 'current' ? '→' : ' ',
    version,
    dateText(createdAt),
    sizeBytes === null ? '-' : sizeText(sizeBytes),
    digest === '' ? '-' : shortened(digest),
    signer === null ? '-' : shortened(signer),
    status === 'skipped' ? `skipped: ${reason ?? '-'}` : status === 'current' ? 'current' : '-',
  ];
}

/** Twelve digits of a digest tell versions and keys apart. */
function shortened(text: string): string {
  return text.replaceAll(/(sha256:[0-9a-f]{12})[0-9a-f]+/g, '$1…');
}

/** `2026-11-25 23:46`, in UTC. */
function dateText(written: string | null): string {
  const date = new Date(written ?? NaN);
  return Number.isNaN(date.getTime()) ? '-' : date.toISOString().slice(0, 16).replace('T', ' ');
}

function painted(text: string, version: ListedVersion | undefined): string {
  if (version?.status === 'current') return styleText('green', text);
  return version?.status === 'skipped' ? styleText('red', text) : text;
}
