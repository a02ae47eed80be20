import type { Firmware, FirmwareStore } from '../cache/index.js';
import type { Clock } from '../clock.js';
import { OtaError } from '../errors.js';
import type { Descriptor, Digest } from '../oci/index.js';
import type { Registry } from '../registry/index.js';
import type { SignatureVerifier, Signer } from '../signature/index.js';
import { Assessor, type Assessment } from './assessor.js';
import { CatalogueEntry } from './catalogue-entry.js';
import { REQUIRES, type Conditional } from './conditions.js';
import { FirmwareLocator, type Location } from './firmware-locator.js';
import { FirmwarePuller } from './firmware-puller.js';
import type { Deliverable, Image } from './image.js';
import { ImageVersions } from './image-versions.js';
import { ReleaseContents } from './release-contents.js';
import type { ReleaseFinderOptions } from './release-finder-options.js';
import { dateAfter, Release } from './release.js';
import type { Search } from './search.js';
import type { Candidate } from './select-version.js';
import { SortedTags } from './sorted-tags.js';
import { UntrustedVersions } from './untrusted-versions.js';
import { WithoutFirmware } from './without-firmware.js';
import { traced } from '../tracing.js';

/** What a release requires of a unit, according to its manifest. */
export interface Requirements extends Conditional {
  readonly manifestDigest: Digest;
}

/** The manifest of a version, and what was found out about it. */
interface Examined {
  readonly manifest: Descriptor;
  readonly signer: Signer | undefined;
  readonly coversManifestOnly: boolean;
  readonly location: Location;
}

/** What reads artifacts, for one registry. */
interface Readers {
  readonly assessor: Assessor;
  readonly contents: ReleaseContents;
}

/**
 * Finds one version in the registry: verifies it, locates the firmware and downloads it. It only remembers facts that
 * cannot change.
 */
export class ReleaseFinder {
  private readonly locators: (registry: Registry) => FirmwareLocator;
  private readonly puller: FirmwarePuller;
  readonly untrusted: UntrustedVersions;
  private readonly withoutFirmware = new WithoutFirmware();
  private readonly imageVersions = new ImageVersions();
  private readonly incomplete = new Set<string>();
  private readonly sorted: SortedTags;

  constructor(
    private readonly registry: Registry,
    private readonly verifier: SignatureVerifier,
    private readonly store: FirmwareStore,
    readonly options: ReleaseFinderOptions,
    private readonly clock: Clock,
  ) {
    this.locators = (asked) => new FirmwareLocator(asked, options.firmwareFile);
    this.puller = new FirmwarePuller(store, options);
    this.untrusted = new UntrustedVersions(options.untrustedMs);
    this.sorted = new SortedTags(options);
  }

  repositoryOf(device: string): string {
    return this.options.prefix + device;
  }

  /** Returns the versions of `device`, newest first. Rejects with OtaError `absent` if there are none. */
  async candidates(device: string, signal: AbortSignal): Promise<readonly Candidate[]> {
    return this.candidatesOf(device, await this.registry.listTags(this.repositoryOf(device), signal));
  }

  /** Returns the versions among `tags`. Rejects with OtaError `absent` if there are none. */
  async candidatesOf(device: string, tags: readonly string[]): Promise<readonly Candidate[]> {
    const repository = this.repositoryOf(device);
    const candidates = await this.sorted.of(repository, tags);
    if (candidates.length === 0)
      throw new OtaError('absent', `${repository} has no tag that is a semantic version. Push a version such as 1.0.0`);
    return candidates;
  }

  /** Returns the release to which `candidate` points now. Returns `known` itself if it is the same. */
  async release(device: string, candidate: Candidate, known: Release | undefined, search: Search): Promise<Release> {
    const repository = this.repositoryOf(device);
    const registry = search.part();
    const manifest = await registry.resolve(repository, candidate.tag, search.signal);
    const isSame = known?.tag === candidate.tag && known.manifestDigest === manifest.digest;
    if (!search.again && isSame && known.isComplete) {
      this.demandTrust(repository, known);
      return known;
    }
    return this.withoutFirmware.unless(`${repository}@${manifest.digest}`, candidate.version, async () => {
      const examined = await this.examine(registry, repository, candidate, manifest, search.signal);
      const release = await this.pulled(registry, device, candidate, examined, known, search.signal);
      return known ? sameAs(known, release) : release;
    });
  }

  /**
   * Returns the version to which `candidate` points now, verified and located, but not downloaded. Returns `known`
   * itself if it is the same, which costs one HEAD.
   */
  async entry(
    product: string,
    candidate: Candidate,
    known: CatalogueEntry | undefined,
    search: Search,
  ): Promise<CatalogueEntry> {
    const repository = this.repositoryOf(product);
    const registry = search.part(candidate.tag);
    const manifest = await registry.resolve(repository, candidate.tag, search.signal);
    const isSame = known?.tag === candidate.tag && known.manifestDigest === manifest.digest;
    if (!search.again && isSame) {
      this.demandTrust(repository, known);
      return known;
    }
    return this.withoutFirmware.unless(`${repository}@${manifest.digest}`, candidate.version, async () => {
      const examined = await this.examine(registry, repository, candidate, manifest, search.signal);
      const { signer, coversManifestOnly, location } = examined;
      if (isSame && known.signer?.name === signer?.name && known.coversManifestOnly === coversManifestOnly)
        return known;
      const { mediaType, digest, size } = manifest;
      const annotations = this.readers(registry).contents.annotationsOf(location, coversManifestOnly);
      const { version, tag } = candidate;
      return new CatalogueEntry(
        product,
        version,
        tag,
        { mediaType, digest, size },
        signer,
        coversManifestOnly,
        annotations,
      );
    });
  }

  /**
   * Returns the release of an entry. Downloads its firmware, if the store does not have it.
   *
   * @param before the release that it replaces as the current one, for its date
   */
  async deliver(entry: CatalogueEntry, before: Release | undefined, search: Search): Promise<Release> {
    const { product, manifest, signer, coversManifestOnly } = entry;
    const repository = this.repositoryOf(product);
    const registry = search.part(entry.tag);
    return this.withoutFirmware.unless(`${repository}@${manifest.digest}`, entry.version, async () => {
      const location = await this.locate(registry, repository, manifest, search.signal);
      const examined = { manifest, signer, coversManifestOnly, location };
      return this.pulled(registry, product, entry, examined, before, search.signal);
    });
  }

  /**
   * Returns what the release to which `candidate` points requires, without downloading its firmware. If its manifest is
   * that of `known`, returns `known`, which costs one HEAD.
   */
  async requirements(
    device: string,
    candidate: Candidate,
    known: Requirements | undefined,
    search: Search,
  ): Promise<Requirements> {
    const repository = this.repositoryOf(device);
    const registry = search.part();
    const manifest = await registry.resolve(repository, candidate.tag, search.signal);
    if (known?.manifestDigest === manifest.digest) return known;
    this.withoutFirmware.demand(`${repository}@${manifest.digest}`);
    const { location, coversManifestOnly } = await this.examine(
      registry,
      repository,
      candidate,
      manifest,
      search.signal,
    );
    const { [REQUIRES]: requires } = this.readers(registry).contents.annotationsOf(location, coversManifestOnly);
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
    const firmware = await this.puller.pull(this.registry, this.repositoryOf(device), source, signal);
    if (firmware.sha256 !== known.sha256)
      throw new OtaError(
        'protocol',
        `${device} ${version} was unpacked to other bytes than before. Check what the registry sends`,
      );
  }

  /** Returns size and digests of an image of `device`. Downloads it into the store, if it is not there. */
  async image(device: string, { source }: Image, signal: AbortSignal): Promise<Firmware> {
    this.puller.demandSize(source);
    return this.puller.pull(this.registry, this.repositoryOf(device), source, signal);
  }

  /** Throws if the signer is no longer trusted: a key may have been removed during the requests to the registry. */
  demandTrust(repository: string, { signer, version }: Pick<Release, 'signer' | 'version'>): void {
    if (this.verifier.stillTrusts(repository, signer)) return;
    throw new OtaError(
      'untrusted',
      `${version} was signed by ${signer?.name ?? 'nobody'}, who is no longer trusted. Sign it with a key or identity that is configured`,
    );
  }

  /** Returns whether `known` may still be served although its tag points to other content now. */
  async mayKeep(
    device: string,
    { version, tag, manifestDigest, signer }: Pick<Release, 'version' | 'tag' | 'manifestDigest' | 'signer'>,
    search: Search,
    part?: string,
  ): Promise<boolean> {
    const repository = this.repositoryOf(device);
    if (!this.verifier.stillTrusts(repository, signer)) return false;
    if (!search.again) return true;
    const registry = search.part(part === undefined ? undefined : tag);
    const manifest = await registry.resolve(repository, manifestDigest, search.signal);
    const verdict = await this.readers(registry).assessor.verify(repository, manifest, version, search.signal);
    return verdict.trusted;
  }

  /** Verifies a manifest and locates its firmware. Rejects with OtaError `untrusted` if no trusted signer has signed it. */
  private async examine(
    registry: Registry,
    repository: string,
    { version }: Candidate,
    manifest: Descriptor,
    signal: AbortSignal,
  ): Promise<Examined> {
    const before = this.untrusted.recall(repository, version, manifest);
    if (before) throw before;
    const verdict: Assessment = await traced('otaflux.verify', { repository, version }, () =>
      this.readers(registry).assessor.verify(repository, manifest, version, signal),
    );
    if (!verdict.trusted) throw this.untrusted.note(repository, version, manifest, verdict);
    const location = await this.locate(registry, repository, manifest, signal);
    const { signer, coversManifestOnly = false } = verdict;
    return { manifest, signer, coversManifestOnly, location };
  }

  /** Returns a release whose firmware is in the store. */
  private async pulled(
    registry: Registry,
    device: string,
    { version, tag }: Candidate,
    { manifest, signer, coversManifestOnly, location }: Examined,
    before: Release | undefined,
    signal: AbortSignal,
  ): Promise<Release> {
    const repository = this.repositoryOf(device);
    const contents = await this.readers(registry).contents.of(repository, location, coversManifestOnly, signal);
    const firmware = await this.puller.pull(registry, repository, location, signal);
    const since = dateAfter(before?.currentSince, this.clock.nowMs());
    const release = new Release(device, version, tag, manifest.digest, firmware, contents, since, signer);
    this.demandTrust(repository, release);
    this.imageVersions.compare(`${repository}@${manifest.digest}`, release);
    return release;
  }

  private async locate(
    registry: Registry,
    repository: string,
    manifest: Descriptor,
    signal: AbortSignal,
  ): Promise<Location> {
    const location = await this.readers(registry).assessor.locate(repository, manifest, signal);
    this.puller.demandSize(location);
    return location;
  }

  private readers(registry: Registry): Readers {
    const locator = this.locators(registry);
    return {
      assessor: new Assessor(registry, this.verifier, locator, this.options.signedVersion),
      contents: new ReleaseContents(registry, locator, this.incomplete),
    };
  }
}

/** Returns `known` if nothing has changed, otherwise `found`. The same release keeps its date. */
function sameAs(known: Release, found: Release): Release {
  if (found.isUnchanged(known)) return known;
  return found.equals(known) ? found.datedFrom(known.currentSince) : found;
}
