import { Logger } from '@nestjs/common';
import pLimit from 'p-limit';
import type { Firmware, FirmwareStore } from '../cache/index.js';
import type { Clock } from '../clock.js';
import { OtaError } from '../errors.js';
import { algorithmOf, hexOf, inlineContent, type Descriptor, type Digest } from '../oci/index.js';
import type { Registry } from '../registry/index.js';
import type { SignatureVerifier } from '../signature/index.js';
import { Assessor, type Assessment, type SignedVersion } from './assessor.js';
import { REQUIRES, type Conditional } from './conditions.js';
import { FirmwareLocator, type Location } from './firmware-locator.js';
import type { Deliverable, Image, ImageSource } from './image.js';
import { ReleaseContents } from './release-contents.js';
import { dateAfter, Release } from './release.js';
import type { Candidate } from './select-version.js';
import { SortedTags } from './sorted-tags.js';
import { limited } from './limited.js';
import { NoFirmware } from './no-firmware.js';
import { ofRightEntry } from './other-entry.js';
import { MAX_PASSED_OVER } from './passed-over.js';
import { UntrustedVersions } from './untrusted-versions.js';
import { isSameVersion } from '../semver.js';
import { traced } from '../tracing.js';

export interface ReleaseFinderOptions {
  /** Prefix of the device id in a repository name, with its slash. */
  prefix: string;
  prereleases: boolean;
  minVersion: string | undefined;
  signedVersion: SignedVersion;
  /** A search gives up after so many untrusted versions. */
  maxUnverified: number;
  /** How long an untrusted version is not verified again, in milliseconds. */
  untrustedMs: number;
  firmwareFile: string | undefined;
  maxFirmwareBytes: number;
}

/** Number of remembered manifests without firmware. Neither the content of a digest nor the settings change. */
const MAX_REMEMBERED = 10_000;
/** Concurrent downloads. Each may take its size in memory. */
const MAX_PULLS = 4;

/** What a release requires of a unit, according to its manifest. */
export interface Requirements extends Conditional {
  readonly manifestDigest: Digest;
}

/** The result of a search for the current release. */
export interface Found {
  readonly release: Release;
  /** Number of newer versions that are not trusted. */
  readonly passedOver: number;
}

/**
 * Finds releases in the registry: selects a version, verifies it, locates the firmware and downloads it. It only
 * remembers facts that cannot change.
 */
export class ReleaseFinder {
  private readonly logger = new Logger('ReleaseFinder');
  private readonly assessor: Assessor;
  private readonly contents: ReleaseContents;
  private readonly untrusted: UntrustedVersions;
  private readonly withoutFirmware = new Map<string, NoFirmware>();
  private readonly differing = new Set<string>();
  private readonly pulls = pLimit(MAX_PULLS);
  private readonly sorted: SortedTags;

  constructor(
    private readonly registry: Registry,
    private readonly verifier: SignatureVerifier,
    private readonly store: FirmwareStore,
    private readonly options: ReleaseFinderOptions,
    private readonly clock: Clock,
  ) {
    const locator = new FirmwareLocator(registry, options.firmwareFile);
    this.assessor = new Assessor(registry, verifier, locator, options.signedVersion);
    this.contents = new ReleaseContents(registry, locator);
    this.untrusted = new UntrustedVersions(options.untrustedMs);
    this.sorted = new SortedTags(options);
  }

  repositoryOf(device: string): string {
    return this.options.prefix + device;
  }

  /** Returns the versions of `device`, newest first. Rejects with OtaError `absent` if there are none. */
  async candidates(device: string, signal: AbortSignal): Promise<readonly Candidate[]> {
    const repository = this.repositoryOf(device);
    const candidates = await this.sorted.of(repository, await this.registry.listTags(repository, signal));
    if (candidates.length === 0)
      throw new OtaError('absent', `${repository} has no tag that is a semantic version. Push a version such as 1.0.0`);
    return candidates;
  }

  /**
   * Returns the current release of `device`. If nothing has changed, returns `known` itself, which costs one list of
   * tags and one HEAD.
   *
   * @param again also verify `known` again
   */
  async current(device: string, known: Release | undefined, signal: AbortSignal, again = false): Promise<Found> {
    const repository = this.repositoryOf(device);
    const candidates = await this.candidates(device, signal);
    let passedOver = 0;
    let reason = '';
    let withoutFirmware = 0;
    const lastGood = async (): Promise<Found> => ({
      release: await this.lastGood(device, candidates, known, signal, again, passedOver > 0 ? 'untrusted' : 'absent'),
      passedOver,
    });
    for (const candidate of candidates) {
      try {
        return { release: await this.release(device, candidate, known, signal, again), passedOver };
      } catch (error) {
        // A failure says nothing about this version, so no older one may replace it.
        if (!OtaError.isAnswer(error)) throw error;
        // Its tag is listed, but its manifest is missing: the registry may be between two states. If this lasts, the
        // release is withdrawn.
        if (error.code === 'absent' && known?.tag === candidate.tag && !(error instanceof NoFirmware)) throw error;
        reason ||= `${candidate.version}: ${error.message}`;
        if (error.code === 'untrusted') passedOver++;
        else withoutFirmware++;
        // Its tag was moved to content that is not trusted, or not yet. The last good release is better than an older
        // one.
        if (error.code === 'untrusted' && known?.tag === candidate.tag && (await this.mayKeep(known, signal, again)))
          return { release: known, passedOver };
        if (withoutFirmware === MAX_PASSED_OVER) return lastGood();
        if (passedOver === this.options.maxUnverified) {
          this.untrusted.searchStopped(repository, passedOver, candidates[0]?.version ?? '');
          return lastGood();
        }
      }
    }
    throw new OtaError(passedOver > 0 ? 'untrusted' : 'absent', `no version of ${repository} can be served: ${reason}`);
  }

  /** Returns the release to which `candidate` points now. Returns `known` itself if it is the same. */
  async release(
    device: string,
    candidate: Candidate,
    known: Release | undefined,
    signal: AbortSignal,
    again = false,
  ): Promise<Release> {
    const repository = this.repositoryOf(device);
    const manifest = await this.registry.resolve(repository, candidate.tag, signal);
    if (!again && known?.isComplete && known.tag === candidate.tag && known.manifestDigest === manifest.digest) {
      this.demandTrust(repository, known);
      return known;
    }
    const key = `${repository}@${manifest.digest}`;
    const why = this.withoutFirmware.get(key);
    if (why) throw why;
    try {
      const { signer, coversManifestOnly } = await this.assess(repository, candidate, manifest, signal);
      const location = await this.locate(repository, manifest, signal);
      const contents = await this.contents.of(repository, location, coversManifestOnly === true, signal);
      const firmware = await this.pull(repository, location, signal);
      const { version, tag } = candidate;
      const since = dateAfter(known?.currentSince, this.clock.nowMs());
      const release = new Release(device, version, tag, manifest.digest, firmware, contents, since, signer);
      this.demandTrust(repository, release);
      this.compareVersions(key, release);
      return known ? sameAs(known, release) : release;
    } catch (error) {
      if (error instanceof NoFirmware) this.passOver(key, candidate, error);
      throw error;
    }
  }

  /**
   * Returns what the release to which `candidate` points requires, without downloading its firmware. If its manifest is
   * that of `known`, returns `known`, which costs one HEAD.
   */
  async requirements(
    device: string,
    candidate: Candidate,
    known: Requirements | undefined,
    signal: AbortSignal,
  ): Promise<Requirements> {
    const repository = this.repositoryOf(device);
    const manifest = await this.registry.resolve(repository, candidate.tag, signal);
    if (known?.manifestDigest === manifest.digest) return known;
    const why = this.withoutFirmware.get(`${repository}@${manifest.digest}`);
    if (why) throw why;
    const { coversManifestOnly } = await this.assess(repository, candidate, manifest, signal);
    const location = await this.locate(repository, manifest, signal);
    const { [REQUIRES]: requires } = this.contents.annotationsOf(location, coversManifestOnly === true);
    const annotations = requires === undefined ? {} : { [REQUIRES]: requires };
    return { device, version: candidate.version, manifestDigest: manifest.digest, annotations };
  }

  /**
   * Forgets which versions were not trusted, so that they are verified again: those of one device or, after a change of
   * keys, all.
   */
  verifyAnew(device?: string): void {
    this.untrusted.forget(device === undefined ? undefined : this.repositoryOf(device));
  }

  /** Downloads `bytes` into the store, if they are not there. */
  async restore({ device, version, firmware: known, source }: Deliverable, signal: AbortSignal): Promise<void> {
    if (await this.store.find(known.sha256)) return;
    const firmware = await this.pull(this.repositoryOf(device), source, signal);
    if (firmware.sha256 !== known.sha256)
      throw new OtaError(
        'protocol',
        `${device} ${version} was unpacked to other bytes than before. Check what the registry sends`,
      );
  }

  /** Returns size and digests of an image of `device`. Downloads it into the store, if it is not there. */
  async image(device: string, { source }: Image, signal: AbortSignal): Promise<Firmware> {
    this.demandSize(source);
    return this.pull(this.repositoryOf(device), source, signal);
  }

  /** Returns the signer of `manifest`. Rejects with OtaError `untrusted` if no trusted signer has signed it. */
  private async assess(
    repository: string,
    { version }: Candidate,
    manifest: Descriptor,
    signal: AbortSignal,
  ): Promise<Extract<Assessment, { trusted: true }>> {
    const before = this.untrusted.recall(repository, version, manifest);
    if (before) throw before;
    const verdict = await traced('otaflux.verify', { repository, version }, () =>
      this.assessor.verify(repository, manifest, version, signal),
    );
    if (!verdict.trusted) throw this.untrusted.note(repository, version, manifest, verdict);
    return verdict;
  }

  /** Throws if the signer is no longer trusted: a key may have been removed during the requests to the registry. */
  private demandTrust(repository: string, { signer, version }: Release): void {
    if (this.verifier.stillTrusts(repository, signer)) return;
    throw new OtaError(
      'untrusted',
      `${version} was signed by ${signer?.name ?? 'nobody'}, who is no longer trusted. Sign it with a key or identity that is configured`,
    );
  }

  /** Returns whether `known` may still be served although its tag points to other content now. */
  private async mayKeep(
    { device, version, manifestDigest, signer }: Release,
    signal: AbortSignal,
    again: boolean,
  ): Promise<boolean> {
    const repository = this.repositoryOf(device);
    if (!this.verifier.stillTrusts(repository, signer)) return false;
    if (!again) return true;
    const manifest = await this.registry.resolve(repository, manifestDigest, signal);
    return (await this.assessor.verify(repository, manifest, version, signal)).trusted;
  }

  /** Returns the known release if its tag still exists, because the search ended before it reached that tag. */
  private async lastGood(
    device: string,
    candidates: readonly Candidate[],
    known: Release | undefined,
    signal: AbortSignal,
    again: boolean,
    code: 'absent' | 'untrusted',
  ): Promise<Release> {
    const candidate = candidates.find(({ tag }) => tag === known?.tag);
    if (candidate) return this.release(device, candidate, known, signal, again);
    throw new OtaError(
      code,
      `too many of the newest versions of ${device} cannot be served, and older ones are not tried. Delete tags without firmware, sign a version, or raise --max-unverified`,
    );
  }

  private async locate(repository: string, manifest: Descriptor, signal: AbortSignal): Promise<Location> {
    const location = await this.assessor.locate(repository, manifest, signal);
    this.demandSize(location);
    return location;
  }

  private demandSize({ blob }: ImageSource): void {
    if (blob.size <= this.options.maxFirmwareBytes) return;
    throw new NoFirmware(
      `the layer has ${blob.size} bytes, more than --max-firmware-size (${this.options.maxFirmwareBytes}). Raise the limit, or push a smaller file`,
    );
  }

  private async pull(repository: string, { blob, packing }: ImageSource, signal: AbortSignal): Promise<Firmware> {
    const plain = packing === 'none' && algorithmOf(blob.digest) === 'sha256';
    const stored = plain ? await this.store.find(hexOf(blob.digest)) : undefined;
    if (stored) return stored;
    const firmware = await this.pulls(() =>
      traced('otaflux.pull', { repository, sizeBytes: blob.size }, () =>
        ofRightEntry((entry) =>
          this.store.put({
            // Only then, the content has the size of the blob.
            sizeBytes: packing === 'none' ? blob.size : undefined,
            open: () => this.contentOf(repository, { blob, packing }, signal, entry),
          }),
        ),
      ),
    );
    // A plug-in registry may not have checked the content.
    if (plain && firmware.sha256 !== hexOf(blob.digest))
      throw new OtaError(
        'protocol',
        `content is not ${blob.digest}: its bytes have another digest. Check the registry and its storage`,
      );
    return firmware;
  }

  /** Yields the firmware in a blob. The code that unpacks tars is loaded with the first tar. */
  private async *contentOf(
    repository: string,
    { blob, packing }: ImageSource,
    signal: AbortSignal,
    entry: number | undefined,
  ): AsyncGenerator<Buffer> {
    const { firmwareFile, maxFirmwareBytes: maxBytes } = this.options;
    const bytes = this.bytesOf(repository, blob, signal);
    if (packing === 'none') yield* limited(bytes, maxBytes);
    else yield* (await import('./unpack.js')).unpack(bytes, { packing, firmwareFile, maxBytes, entry });
  }

  /** If the blob of a manifest is missing, the manifest is broken, not absent: an older version must not replace it. */
  private async *bytesOf(repository: string, blob: Descriptor, signal: AbortSignal): AsyncGenerator<Buffer> {
    const inline = inlineContent(blob);
    if (inline) {
      yield inline;
      return;
    }
    try {
      yield* (await this.registry.fetchBlob(repository, blob, signal)) as AsyncIterable<Buffer>;
    } catch (error) {
      if (error instanceof OtaError && error.code === 'absent')
        throw new OtaError('protocol', error.message, { cause: error });
      throw error;
    }
  }

  /** Warns if an ESP image says that it is another version than its tag. */
  private compareVersions(key: string, { device, version, firmware: { esp } }: Release): void {
    const own = esp?.app?.version;
    if (own === undefined || isSameVersion(own, version) || this.differing.has(key)) return;
    if (this.differing.size >= MAX_REMEMBERED) this.differing.clear();
    this.differing.add(key);
    this.logger.warn({
      event: 'release.version_differs',
      device,
      version,
      reason: `the image says that it is version ${own}, but its tag is ${version}. Units that report the version in the image are offered the release again and again. Set PROJECT_VER to the version of the tag`,
    });
  }

  private passOver(key: string, candidate: Candidate, error: NoFirmware): void {
    if (this.withoutFirmware.size >= MAX_REMEMBERED) this.withoutFirmware.clear();
    this.withoutFirmware.set(key, error);
    this.logger.warn({
      event: 'release.passed_over',
      artifact: key,
      version: candidate.version,
      reason: error.message,
    });
  }
}

/** Returns `known` if nothing has changed, otherwise `found`. The same release keeps its date. */
function sameAs(known: Release, found: Release): Release {
  if (found.isUnchanged(known)) return known;
  return found.equals(known) ? found.datedFrom(known.currentSince) : found;
}
