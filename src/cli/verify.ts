import { styleText } from 'node:util';
import type { Settings } from '../config/index.js';
import { ConfigError, OtaError, reasonOf } from '../errors.js';
import { whyNoDeviceId } from '../repository-name.js';
import { Assessor } from '../firmware/assessor.js';
import { FirmwareLocator } from '../firmware/firmware-locator.js';
import { repositoryPrefix } from '../firmware/repository-prefix.js';
import { newestFirst, type Candidate } from '../firmware/select-version.js';
import { isRepositoryName } from '../oci/index.js';
import { createRegistry } from '../registry/adapters.js';
import type { Registry } from '../registry/index.js';
import { createVerifier, wantsSignatures } from '../signature/create-verifier.js';
import { isColourful, tableOf } from './table.js';

const EXIT_SERVED = 0;
const EXIT_NONE = 1;
const EXIT_NOT_ASKED = 3;
/** A table that nobody reads to its end. */
const MAX_ROWS = 1_000;

/** What is known of one version. */
interface Row {
  readonly version: string;
  readonly tag: string;
  readonly digest: string;
  /** `trusted`, `unverified` when nothing is asked for, a Distrust, or `no-firmware`. */
  readonly result: string;
  readonly form: string | null;
  readonly signer: string | null;
  readonly signedAt: string | null;
  /** What a legacy signature says it was made for. */
  readonly reference: string | null;
  readonly reason: string | null;
}

/** Prints what the server would say of every version of `device`, and resolves to the exit code. */
export async function verify(settings: Settings, device: string, json: boolean): Promise<number> {
  const repository = repositoryPrefix(settings.repositoryPrefix) + device;
  if (!isRepositoryName(repository))
    throw new ConfigError(
      `device: got ${JSON.stringify(device)}: ${whyNoDeviceId(device)}. Expected esp32 or line-1/sensor`,
    );
  const registry = await createRegistry(settings);
  const verifier = await createVerifier(settings, registry);
  const assessor = new Assessor(
    registry,
    verifier,
    new FirmwareLocator(registry, settings.firmwareFile),
    settings.signedVersion,
  );
  try {
    const rows = await judge(registry, assessor, repository, settings);
    const served = servedOf(rows, settings.maxUnverified);
    print(rows, served, repository, json);
    if (!json && !wantsSignatures(settings))
      process.stderr.write(
        'otaflux: no signature was checked, because no key and no identity is configured. Set --cosign-pub-key-path\n',
      );
    return served ? EXIT_SERVED : EXIT_NONE;
  } catch (error) {
    process.stderr.write(`otaflux: ${reasonOf(error)}\n`);
    return error instanceof OtaError && error.code === 'absent' ? EXIT_NONE : EXIT_NOT_ASKED;
  }
}

async function judge(registry: Registry, assessor: Assessor, repository: string, settings: Settings): Promise<Row[]> {
  const { signal } = new AbortController();
  const candidates = newestFirst(await registry.listTags(repository, signal), settings);
  if (candidates.length === 0)
    throw new OtaError('absent', `${repository} has no tag that is a semantic version. Push a version such as 1.0.0`);
  const rows: Row[] = [];
  for (const candidate of candidates.slice(0, MAX_ROWS)) {
    const manifest = await registry.resolve(repository, candidate.tag, signal);
    const row = { ...candidate, digest: manifest.digest };
    try {
      const verdict = await assessor.verify(repository, manifest, candidate.version, signal);
      if (!verdict.trusted) {
        rows.push(rowOf(row, { result: verdict.code, reason: verdict.reason }));
        continue;
      }
      await assessor.locate(repository, manifest, signal);
      const { signer } = verdict;
      rows.push(
        rowOf(row, {
          result: signer ? 'trusted' : 'unverified',
          ...(signer && {
            form: signer.form,
            signer: signer.name,
            signedAt: signer.at?.toISOString() ?? null,
            reference: signer.reference ?? null,
          }),
        }),
      );
    } catch (error) {
      if (!(error instanceof OtaError) || error.code !== 'absent') throw error;
      rows.push(rowOf(row, { result: 'no-firmware', reason: error.message }));
    }
  }
  return rows;
}

function rowOf({ version, tag, digest }: Candidate & { digest: string }, rest: Partial<Row> & { result: string }): Row {
  return { version, tag, digest, form: null, signer: null, signedAt: null, reference: null, reason: null, ...rest };
}

/** The row that the server would serve: the first good one, within what one refresh looks at. */
function servedOf(rows: readonly Row[], maxUnverified: number): Row | undefined {
  let passedOver = 0;
  for (const row of rows) {
    if (isGood(row)) return row;
    if (row.result !== 'no-firmware' && ++passedOver === maxUnverified) return undefined;
  }
  return undefined;
}

const isGood = ({ result }: Row): boolean => result === 'trusted' || result === 'unverified';

function print(rows: readonly Row[], served: Row | undefined, repository: string, json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify({ repository, served: served?.version ?? null, versions: rows })}\n`);
    return;
  }
  const cells = rows.map((row) => [
    row === served ? '→' : ' ',
    row.version,
    `${row.digest.slice(0, 19)}…`,
    row.result,
    row.form ?? '-',
    row.signer ?? row.reason ?? '-',
  ]);
  const table = tableOf([[' ', 'VERSION', 'DIGEST', 'RESULT', 'FORM', 'SIGNER OR REASON'], ...cells]);
  for (const [index, text] of table.entries())
    process.stdout.write(`${paint(text, index === 0 ? undefined : rows[index - 1])}\n`);
}

/** Green is served or could be, red is not; only on a terminal. */
function paint(text: string, row: Row | undefined): string {
  if (!isColourful()) return text;
  return row ? styleText(isGood(row) ? 'green' : 'red', text) : styleText('bold', text);
}
