import { Logger } from '@nestjs/common';
import { OtaError } from '../errors.js';
import type { Descriptor } from '../oci/index.js';
import type { Verification } from '../signature/index.js';

type Refused = Extract<Verification, { trusted: false }>;

/** The least recently used entry is dropped first. Its manifest is then verified and logged again. */
const MAX_REMEMBERED = 10_000;

/** Manifests that are not trusted. Each is logged once, and not verified again for a while. */
export class UntrustedVersions {
  private readonly logger = new Logger('UntrustedVersions');
  private readonly known = new Map<
    string,
    { readonly error: OtaError; readonly atMs: number; readonly untilMs: number }
  >();
  private readonly stopped = new Set<string>();
  /** Time from which results are valid, for repositories that have changed. */
  private readonly verifiedAgain = new Map<string, number>();

  /** @param memoryMs how long a result is valid; a signature that is pushed later is seen after this time */
  constructor(private readonly memoryMs: number) {}

  /** Returns why a manifest was not trusted recently, or undefined if it has to be verified. */
  recall(repository: string, version: string, { digest }: Descriptor): OtaError | undefined {
    const found = this.known.get(keyOf(repository, version, digest));
    if (!found || performance.now() >= found.untilMs) return undefined;
    return found.atMs > (this.verifiedAgain.get(repository) ?? -Infinity) ? found.error : undefined;
  }

  /** Remembers that a manifest is not trusted. Returns the error for it. */
  note(repository: string, version: string, { digest }: Descriptor, { code, reason }: Refused): OtaError {
    const artifact = `${repository}@${digest}`;
    const key = keyOf(repository, version, digest);
    const error = new OtaError('untrusted', `${code}: ${reason}`);
    if (!this.known.has(key)) this.logger.warn({ event: 'release.untrusted', artifact, version, code, reason });
    this.known.delete(key);
    const atMs = performance.now();
    this.known.set(key, { error, atMs, untilMs: atMs + this.memoryMs });
    const oldest = this.known.size > MAX_REMEMBERED ? this.known.keys().next().value : undefined;
    if (oldest !== undefined) this.known.delete(oldest);
    return error;
  }

  /** Logs, once for each repository, that the search for a trusted version has given up. */
  searchStopped(repository: string, passedOver: number, newest: string): void {
    if (this.stopped.has(repository)) return;
    if (this.stopped.size >= MAX_REMEMBERED) this.stopped.clear();
    this.stopped.add(repository);
    this.logger.warn({
      event: 'release.search_stopped',
      repository,
      newest,
      passedOver,
      reason:
        'too many of the newest versions are not trusted, and older ones are not checked. Sign a version, or raise --max-unverified',
    });
  }

  /**
   * Invalidates all results, of one repository or of all, so that manifests are verified again. For one repository, it
   * remembers what was logged.
   */
  forget(repository: string | undefined): void {
    if (repository === undefined) {
      this.known.clear();
      this.stopped.clear();
      return;
    }
    this.verifiedAgain.delete(repository);
    this.verifiedAgain.set(repository, performance.now());
    const oldest = this.verifiedAgain.size > MAX_REMEMBERED ? this.verifiedAgain.keys().next().value : undefined;
    if (oldest !== undefined) this.verifiedAgain.delete(oldest);
  }
}

/**
 * Returns the key of a result. It includes the version, because a manifest may be trusted under one tag and not under
 * another.
 */
function keyOf(repository: string, version: string, digest: string): string {
  return `${repository}@${digest} ${version}`;
}
