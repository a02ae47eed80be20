import { Logger } from '@nestjs/common';
import pLimit from 'p-limit';
import type { Firmware, FirmwareStore } from '../cache/index.js';
import { OtaError } from '../errors.js';
import { algorithmOf, hexOf, inlineContent, type Descriptor } from '../oci/index.js';
import type { Registry } from '../registry/index.js';
import type { SignatureVerifier } from '../signature/index.js';
import { FirmwareLocator, type Location } from './firmware-locator.js';
import { Release } from './release.js';
import { newestFirst, type Candidate } from './select-version.js';
import { limited } from './limited.js';

export interface ReleaseFinderOptions {
  /** What stands before the device id in a repository name, with its slash. */
  prefix: string;
  prereleases: boolean;
  firmwareFile: string | undefined;
  maxFirmwareBytes: number;
}

/** Versions without firmware that one search passes over before it gives up. */
const MAX_PASSED_OVER = 20;
/** Manifests known to hold no firmware; what a digest names never changes. */
const MAX_REMEMBERED = 10_000;
/** Downloads at once: each may take its size in memory. */
const MAX_PULLS = 4;

/** REPOSITORY_PREFIX as it stands before a device id: with one slash at its end, or empty. */
export function repositoryPrefix(prefix: string): string {
  const trimmed = prefix.replaceAll(/^\/+|\/+$/g, '');
  return trimmed ? `${trimmed}/` : '';
}

/** Asks the registry for releases: select a version, verify, locate, pull. Remembers nothing but what cannot change. */
export class ReleaseFinder {
  private readonly logger = new Logger('ReleaseFinder');
  private readonly locator: FirmwareLocator;
  private readonly withoutFirmware = new Set<string>();
  private readonly pulls = pLimit(MAX_PULLS);

  constructor(
    private readonly registry: Registry,
    private readonly verifier: SignatureVerifier,
    private readonly store: FirmwareStore,
    private readonly options: ReleaseFinderOptions,
  ) {
    this.locator = new FirmwareLocator(registry, options.firmwareFile);
  }

  repositoryOf(device: string): string {
    return this.options.prefix + device;
  }

  /** The versions of `device`, newest first; OtaError `absent` when there are none. */
  async candidates(device: string, signal: AbortSignal): Promise<Candidate[]> {
    const repository = this.repositoryOf(device);
    const candidates = newestFirst(await this.registry.listTags(repository, signal), this.options);
    if (candidates.length === 0) throw new OtaError('absent', `${repository} has no tag that is a semantic version`);
    return candidates;
  }

  /** The current release of `device`; `known` itself when it still is that. Costs one tags list and one HEAD then. */
  async current(device: string, known: Release | undefined, signal: AbortSignal): Promise<Release> {
    const reasons: string[] = [];
    let code: 'absent' | 'untrusted' = 'absent';
    for (const candidate of await this.candidates(device, signal)) {
      try {
        return await this.release(device, candidate, known, signal);
      } catch (error) {
        if (!(error instanceof OtaError) || (error.code !== 'absent' && error.code !== 'untrusted')) throw error;
        if (error.code === 'untrusted') code = 'untrusted';
        reasons.push(`${candidate.version}: ${error.message}`);
        if (reasons.length === MAX_PASSED_OVER) break;
      }
    }
    throw new OtaError(code, `no version of ${this.repositoryOf(device)} can be served: ${reasons[0] ?? ''}`);
  }

  /** The release that `candidate` names now; `known` itself when it is that. */
  async release(
    device: string,
    candidate: Candidate,
    known: Release | undefined,
    signal: AbortSignal,
  ): Promise<Release> {
    const repository = this.repositoryOf(device);
    const manifest = await this.registry.resolve(repository, candidate.tag, signal);
    if (known?.tag === candidate.tag && known.manifestDigest === manifest.digest) return known;
    const key = `${repository}@${manifest.digest}`;
    if (this.withoutFirmware.has(key)) throw new OtaError('absent', 'the artifact holds no firmware');
    const verdict = await this.verifier.verify(repository, manifest, signal);
    if (!verdict.trusted) throw new OtaError('untrusted', verdict.reason);
    try {
      const location = await this.locate(repository, manifest, signal);
      const firmware = await this.pull(repository, location, signal);
      const createdAt = location.createdAt ?? new Date(Math.floor(Date.now() / 1000) * 1000);
      return new Release(
        device,
        candidate.version,
        candidate.tag,
        manifest.digest,
        firmware,
        location,
        createdAt,
        verdict.signedBy,
      );
    } catch (error) {
      if (error instanceof OtaError && error.code === 'absent') this.passOver(key, candidate, error);
      throw error;
    }
  }

  /** Has the bytes of `release` in the store again. */
  async restore(release: Release, signal: AbortSignal): Promise<void> {
    if (await this.store.find(release.firmware.sha256)) return;
    const firmware = await this.pull(this.repositoryOf(release.device), release.source, signal);
    if (firmware.sha256 !== release.firmware.sha256)
      throw new OtaError('protocol', `${release.device} ${release.version} was unpacked to other bytes than before`);
  }

  private async locate(repository: string, manifest: Descriptor, signal: AbortSignal): Promise<Location> {
    const location = await this.locator.locate(
      repository,
      await this.registry.fetchManifest(repository, manifest, signal),
      signal,
    );
    if (location.blob.size > this.options.maxFirmwareBytes) {
      throw new OtaError(
        'protocol',
        `the layer has ${location.blob.size} bytes, over --max-firmware-size of ${this.options.maxFirmwareBytes}`,
      );
    }
    return location;
  }

  private async pull(
    repository: string,
    { blob, packing }: Pick<Location, 'blob' | 'packing'>,
    signal: AbortSignal,
  ): Promise<Firmware> {
    const plain = packing === 'none' && algorithmOf(blob.digest) === 'sha256';
    const stored = plain ? await this.store.find(hexOf(blob.digest)) : undefined;
    if (stored) return stored;
    const firmware = await this.pulls(() =>
      this.store.put({
        // Only then is what comes in as large as the blob.
        sizeBytes: packing === 'none' ? blob.size : undefined,
        open: () => this.contentOf(repository, { blob, packing }, signal),
      }),
    );
    // A registry of somebody else's making may not have checked what it handed out.
    if (plain && firmware.sha256 !== hexOf(blob.digest))
      throw new OtaError('protocol', `content is not ${blob.digest}`);
    return firmware;
  }

  /** The firmware in a blob. What unpacks tars is loaded with the first of them. */
  private async *contentOf(
    repository: string,
    { blob, packing }: Pick<Location, 'blob' | 'packing'>,
    signal: AbortSignal,
  ): AsyncGenerator<Buffer> {
    const { firmwareFile, maxFirmwareBytes: maxBytes } = this.options;
    const bytes = this.bytesOf(repository, blob, signal);
    if (packing === 'none') yield* limited(bytes, maxBytes);
    else yield* (await import('./unpack.js')).unpack(bytes, { packing, firmwareFile, maxBytes });
  }

  /** A manifest whose blob is missing is broken, not absent: an older version must not take its place. */
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

  private passOver(key: string, candidate: Candidate, error: OtaError): void {
    if (this.withoutFirmware.size >= MAX_REMEMBERED) this.withoutFirmware.clear();
    this.withoutFirmware.add(key);
    this.logger.warn({
      event: 'release.passed_over',
      artifact: key,
      version: candidate.version,
      reason: error.message,
    });
  }
}
