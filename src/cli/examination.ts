import pLimit from 'p-limit';
import type { Settings } from '../config/index.js';
import { ConfigError, OtaError } from '../errors.js';
import { Assessor } from '../firmware/assessor.js';
import { fetchNamed, FirmwareLocator } from '../firmware/firmware-locator.js';
import { repositoryPrefix } from '../firmware/repository-prefix.js';
import type { Candidate } from '../firmware/select-version.js';
import { Annotation, isRepositoryName } from '../oci/index.js';
import { createRegistry } from '../registry/adapters.js';
import type { Registry } from '../registry/index.js';
import { whyNoDeviceId } from '../repository-name.js';
import { createVerifier } from '../signature/create-verifier.js';

/** What a server with the same settings finds out about one version. Fields that it does not get to are null. */
export interface Examined {
  readonly version: string;
  readonly tag: string;
  readonly digest: string;
  /** `trusted`, `unverified` if no signature is required, `no-firmware`, or the Distrust of the signature. */
  readonly result: string;
  readonly form: string | null;
  readonly signer: string | null;
  readonly signedAt: string | null;
  /** The image reference in a signature of the legacy format. */
  readonly reference: string | null;
  readonly reason: string | null;
  /** Annotation `org.opencontainers.image.created` of the manifest. */
  readonly createdAt: string | null;
  /** Size of the firmware in the registry, which may be compressed. */
  readonly sizeBytes: number | null;
}

/** Registries limit the number of requests of one client. */
const MAX_CONCURRENT = 8;

/** Examines the versions of a device in the registry, without downloading firmware. */
export class Examiner {
  private readonly limit = pLimit(MAX_CONCURRENT);

  private constructor(
    readonly registry: Registry,
    private readonly assessor: Assessor,
    private readonly maxFirmwareBytes: number,
  ) {}

  static async create(settings: Settings): Promise<Examiner> {
    const registry = await createRegistry(settings);
    const verifier = await createVerifier(settings, registry);
    const locator = new FirmwareLocator(registry, settings.firmwareFile);
    const assessor = new Assessor(registry, verifier, locator, settings.signedVersion);
    return new Examiner(registry, assessor, settings.maxFirmwareSize);
  }

  /**
   * Examines `candidates` at the same time, within limits, and resolves to the results in their order. Rejects with
   * OtaError if the registry fails for one of them, unless `onFailure` gives a result in its place.
   */
  examineAll(
    repository: string,
    candidates: readonly Candidate[],
    signal: AbortSignal,
    onFailure: (candidate: Candidate, error: OtaError) => Examined = rethrow,
  ): Promise<Examined[]> {
    return Promise.all(
      candidates.map((candidate) =>
        this.limit(() =>
          this.examine(repository, candidate, signal).catch((error: unknown) => {
            if (error instanceof OtaError) return onFailure(candidate, error);
            throw error;
          }),
        ),
      ),
    );
  }

  private async examine(repository: string, candidate: Candidate, signal: AbortSignal): Promise<Examined> {
    const manifest = await this.registry.resolve(repository, candidate.tag, signal);
    let row = rowOf(candidate, { digest: manifest.digest, result: 'unverified' });
    try {
      const { content } = await fetchNamed(this.registry, repository, manifest, signal);
      row = { ...row, createdAt: content.annotations?.[Annotation.created] ?? null };
      const verdict = await this.assessor.verify(repository, manifest, candidate.version, signal);
      if (!verdict.trusted) return { ...row, result: verdict.code, reason: verdict.reason };
      const { blob } = await this.assessor.locate(repository, manifest, signal);
      row = { ...row, sizeBytes: blob.size };
      if (blob.size > this.maxFirmwareBytes) return { ...row, result: 'no-firmware', reason: this.tooLarge(blob.size) };
      const { signer } = verdict;
      if (!signer) return row;
      return {
        ...row,
        result: 'trusted',
        form: signer.form,
        signer: signer.name,
        signedAt: signer.at?.toISOString() ?? null,
        reference: signer.reference ?? null,
      };
    } catch (error) {
      if (!(error instanceof OtaError) || error.code !== 'absent') throw error;
      return { ...row, result: 'no-firmware', reason: error.message };
    }
  }

  private tooLarge(bytes: number): string {
    return `the firmware has ${bytes} bytes, more than --max-firmware-size (${this.maxFirmwareBytes})`;
  }
}

function rethrow(_candidate: Candidate, error: OtaError): never {
  throw error;
}

/** A row of which nothing is known but what is given. */
export function rowOf({ version, tag }: Candidate, known: Partial<Examined> & { result: string }): Examined {
  return {
    version,
    tag,
    digest: '',
    form: null,
    signer: null,
    signedAt: null,
    reference: null,
    reason: null,
    createdAt: null,
    sizeBytes: null,
    ...known,
  };
}

/** Whether a server would serve the version. */
export function isGood({ result }: Examined): boolean {
  return result === 'trusted' || result === 'unverified';
}

/** The version that a server would serve: the first good one, within what one refresh examines. */
export function servedOf(rows: readonly Examined[], maxUnverified: number): Examined | undefined {
  let skipped = 0;
  for (const row of rows) {
    if (isGood(row)) return row;
    if (row.result !== 'no-firmware' && ++skipped === maxUnverified) return undefined;
  }
  return undefined;
}

/** The repository of `device`. Throws ConfigError for what is no device id. */
export function repositoryOf(device: string, settings: Settings): string {
  const repository = repositoryPrefix(settings.repositoryPrefix) + device;
  if (isRepositoryName(repository)) return repository;
  throw new ConfigError(
    `device: got ${JSON.stringify(device)}: ${whyNoDeviceId(device)}. Expected esp32 or line-1/sensor`,
  );
}
