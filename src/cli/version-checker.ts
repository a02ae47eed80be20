import pLimit from 'p-limit';
import type { Settings } from '../config/index.js';
import { ConfigError, OtaError, reasonOf } from '../errors.js';
import { Assessor } from '../firmware/assessor.js';
import { ESP_IMAGE_BYTES, ESP_MAGIC, espImageIn, type EspImage } from '../esp-image.js';
import { FirmwareLocator, type Location } from '../firmware/firmware-locator.js';
import { MAX_PASSED_OVER } from '../firmware/passed-over.js';
import { repositoryPrefix } from '../firmware/repository-prefix.js';
import { newestFirst, type Candidate } from '../firmware/select-version.js';
import { Annotation, inlineContent, isRepositoryName, type Descriptor } from '../oci/index.js';
import { PLAN_TAG, type Plan } from '../plan/plan.js';
import { createRegistry } from '../registry/adapters.js';
import type { Registry } from '../registry/index.js';
import { whyNoDeviceId } from '../repository-name.js';
import { isGood, type CheckedVersion } from './checked-version.js';
import type { Source } from './plan/offline.js';
import { showRetries, StatusLine } from './progress.js';
import { createVerifier } from '../signature/create-verifier.js';

/** Versions that are checked at once. */
const CONCURRENCY = 8;

const EXIT_SERVED = 0;
const EXIT_NONE = 1;
const EXIT_NOT_ASKED = 3;

const exitCodeOf = (error: unknown): number =>
  error instanceof OtaError && error.code === 'absent' ? EXIT_NONE : EXIT_NOT_ASKED;

/** Versions of a repository, and the one that devices get, or why that is not known. */
export interface Survey {
  readonly rows: readonly CheckedVersion[];
  readonly current?: CheckedVersion | undefined;
  readonly failure?: unknown;
  /** The plan that decides it. */
  readonly plan?: Plan | undefined;
}

/**
 * Checks versions of `device`. `show` prints them, after it has cleared the line with the retries. Resolves to the exit code: whether devices get one of them. A failure
 * is one line on stderr, below what is printed.
 */
export async function examine(
  settings: Settings,
  device: string,
  show: (checker: VersionChecker, repository: string, clear: () => void) => Promise<Survey>,
): Promise<number> {
  const repository = repositoryOf(settings, device);
  const line = StatusLine.on(process.stderr);
  const registry = await createRegistry(settings, showRetries(line));
  const checker = await VersionChecker.create(registry, repository, settings, device);
  const { current, failure } = await show(checker, repository, () => line?.clear())
    .catch((error: unknown) => ({ current: undefined, failure: error }))
    .finally(() => line?.clear());
  if (failure === undefined) return current ? EXIT_SERVED : EXIT_NONE;
  process.stderr.write(`otaflux: ${reasonOf(failure)}\n`);
  return exitCodeOf(failure);
}

/** The repository of `device`, or ConfigError when there cannot be one. */
export function repositoryOf(settings: Settings, device: string): string {
  const repository = repositoryPrefix(settings.repositoryPrefix) + device;
  if (isRepositoryName(repository)) return repository;
  throw new ConfigError(
    `device: got ${JSON.stringify(device)}: ${whyNoDeviceId(device)}. Expected esp32 or line-1/sensor`,
  );
}

/** Checks the versions of one repository by the rules of the server, each once. */
export class VersionChecker {
  private readonly checked = new Map<string, Promise<CheckedVersion>>();
  /** Where the firmware of a manifest is, by digest. */
  private readonly locations = new Map<string, Location>();
  private readonly limit = pLimit(CONCURRENCY);
  private readonly signal = new AbortController().signal;
  private planInForce: Promise<Plan | undefined> | undefined;
  /** Whether the repository has the tag of a plan. */
  private isPlanned = false;

  private constructor(
    private readonly registry: Registry,
    private readonly assessor: Assessor,
    private readonly repository: string,
    private readonly settings: Settings,
    private readonly product: string,
  ) {}

  static async create(
    registry: Registry,
    repository: string,
    settings: Settings,
    product: string,
  ): Promise<VersionChecker> {
    const verifier = await createVerifier(settings, registry);
    const locator = new FirmwareLocator(registry, settings.firmwareFile);
    const assessor = new Assessor(registry, verifier, locator, settings.signedVersion);
    return new VersionChecker(registry, assessor, repository, settings, product);
  }

  /** What decides without a server. */
  get source(): Source {
    const { product, repository, settings, registry } = this;
    return { product, repository, settings, registry, check: (candidate) => this.check(candidate) };
  }

  /** All versions, newest first, also those that the server ignores; rejects with OtaError `absent` when there is none. */
  async all(): Promise<Candidate[]> {
    const tags = await this.registry.listTags(this.repository, this.signal);
    this.isPlanned = tags.includes(PLAN_TAG);
    const candidates = newestFirst(tags, { prereleases: true });
    if (candidates.length > 0) return candidates;
    throw new OtaError(
      'absent',
      `${this.repository} has no tag that is a semantic version. Push a version such as 1.0.0`,
    );
  }

  /** Those of `candidates` that the server looks at: `--no-prereleases` and `--min-version` leave some out. */
  eligible(candidates: readonly Candidate[]): Candidate[] {
    return newestFirst(
      candidates.map(({ tag }) => tag),
      this.settings,
    );
  }

  check(candidate: Candidate): Promise<CheckedVersion> {
    let found = this.checked.get(candidate.tag);
    if (!found) this.checked.set(candidate.tag, (found = this.limit(() => this.versionOf(candidate))));
    return found;
  }

  /**
   * Checks each of `shown`, and which of `all` devices get. A version that the registry refuses, or does not answer for,
   * has that as its result.
   */
  async survey(all: readonly Candidate[], shown: readonly Candidate[]): Promise<Survey> {
    const unread = (candidate: Candidate, error: unknown): CheckedVersion => {
      if (!(error instanceof OtaError)) throw error;
      return checkedVersion(candidate, { result: error.code, reason: error.message });
    };
    const rows = await Promise.all(
      shown.map((candidate) => this.check(candidate).catch((error: unknown) => unread(candidate, error))),
    );
    try {
      const plan = await this.plan();
      return { rows, plan, current: await this.current(all) };
    } catch (failure) {
      return { rows, failure };
    }
  }

  /** Returns the plan of the product. Rejects with OtaError if the server would refuse it. */
  async plan(): Promise<Plan | undefined> {
    // A product without a plan must not load what plans need.
    if (!this.isPlanned) return undefined;
    return (this.planInForce ??= import('./plan/offline.js').then(({ planIn }) => planIn(this.source)));
  }

  /**
   * What the server would serve to a client without a unit id: by the plan, or the first good one of those that it looks at,
   * within what one search passes over.
   */
  async current(candidates: readonly Candidate[]): Promise<CheckedVersion | undefined> {
    const plan = await this.plan();
    return plan ? this.currentBy(plan, this.eligible(candidates)) : this.newestOf(candidates);
  }

  private async currentBy(plan: Plan, candidates: readonly Candidate[]): Promise<CheckedVersion | undefined> {
    const { selectOffline } = await import('./plan/offline.js');
    const { source, product } = this;
    const { release } = await selectOffline(source, plan, candidates, { product }, Date.now());
    const candidate = release && candidates.find(({ version }) => version === release.version);
    return candidate && this.check(candidate);
  }

  private async newestOf(candidates: readonly Candidate[]): Promise<CheckedVersion | undefined> {
    let untrusted = 0;
    let withoutFirmware = 0;
    for (const candidate of this.eligible(candidates)) {
      const result = await this.check(candidate);
      if (isGood(result)) return result;
      if (result.result === 'no-firmware') withoutFirmware++;
      else untrusted++;
      if (withoutFirmware === MAX_PASSED_OVER || untrusted === this.settings.maxUnverified) return undefined;
    }
    return undefined;
  }

  private async versionOf(candidate: Candidate): Promise<CheckedVersion> {
    const { repository, registry, signal } = this;
    let known: Partial<CheckedVersion> = {};
    try {
      const manifest = await registry.resolve(repository, candidate.tag, signal);
      known = { digest: manifest.digest };
      const verdict = await this.assessor.verify(repository, manifest, candidate.version, signal);
      if (!verdict.trusted) {
        const refusal = { ...known, result: verdict.code, reason: verdict.reason };
        // What it holds is shown, too, where it holds something.
        return checkedVersion(candidate, { ...refusal, ...(await this.contents(manifest).catch(ifAbsent)) });
      }
      const { signer } = verdict;
      if (signer)
        known = {
          ...known,
          form: signer.form,
          signer: signer.name,
          signedAt: signer.at?.toISOString() ?? null,
          reference: signer.reference ?? null,
        };
      const contents = await this.contents(manifest);
      known = { ...known, ...contents };
      this.demandSize(contents.size);
      return checkedVersion(candidate, { ...known, result: signer ? 'trusted' : 'unverified' });
    } catch (error) {
      if (!(error instanceof OtaError) || error.code !== 'absent') throw error;
      return checkedVersion(candidate, { ...known, result: 'no-firmware', reason: error.message });
    }
  }

  /** Size and date; of an index that has no date, that of its manifest with the firmware. */
  private async contents(manifest: Descriptor): Promise<{ size: number; created: string | null }> {
    const { repository, registry, signal } = this;
    const location = await this.assessor.locate(repository, manifest, signal);
    this.locations.set(manifest.digest, location);
    const dateIn = async (descriptor: Descriptor): Promise<string | null> => {
      const { content } = await registry.fetchManifest(repository, descriptor, signal);
      return dateOf(content.annotations?.[Annotation.created]);
    };
    const created = await dateIn(manifest);
    const isOwn = location.manifest.digest === manifest.digest;
    return { size: location.blob.size, created: created ?? (isOwn ? null : await dateIn(location.manifest)) };
  }

  /**
   * Returns what the header of the firmware says, if it is an ESP image. Reads only its beginning, which is not checked
   * against the digest. Resolves to undefined if it cannot be read.
   */
  async espImage({ digest }: CheckedVersion): Promise<EspImage | undefined> {
    const location = digest === null ? undefined : this.locations.get(digest);
    if (location?.packing !== 'none') return undefined;
    return this.limit(async () => espImageIn(await this.beginningOf(location.blob))).catch(() => undefined);
  }

  private async beginningOf(blob: Descriptor): Promise<Buffer> {
    const inline = inlineContent(blob);
    if (inline) return inline.subarray(0, ESP_IMAGE_BYTES);
    const stream = await this.registry.fetchBlob(this.repository, blob, this.signal);
    try {
      let head = Buffer.alloc(0);
      for await (const piece of stream as AsyncIterable<Buffer>) {
        head = Buffer.concat([head, piece.subarray(0, ESP_IMAGE_BYTES - head.length)]);
        if (head[0] !== ESP_MAGIC || head.length === ESP_IMAGE_BYTES) break;
      }
      return head;
    } finally {
      stream.on('error', () => undefined).destroy();
    }
  }

  private demandSize(size: number): void {
    const { maxFirmwareSize } = this.settings;
    if (size <= maxFirmwareSize) return;
    throw new OtaError(
      'absent',
      `the layer has ${size} bytes, more than --max-firmware-size (${maxFirmwareSize}). Raise the limit, or push a smaller file`,
    );
  }
}

function ifAbsent(error: unknown): object {
  if (error instanceof OtaError && error.code === 'absent') return {};
  throw error;
}

/** An annotation is anybody's text. */
function dateOf(text: string | undefined): string | null {
  const date = new Date(text ?? '');
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

function checkedVersion(
  { version, tag }: Candidate,
  rest: Partial<CheckedVersion> & Pick<CheckedVersion, 'result'>,
): CheckedVersion {
  const nothing = { digest: null, form: null, signer: null, signedAt: null, reference: null, reason: null };
  return { version, tag, ...nothing, created: null, size: null, ...rest };
}
