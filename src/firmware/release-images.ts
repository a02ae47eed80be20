import type { Firmware, FirmwareStore } from '../cache/index.js';
import { OtaError } from '../errors.js';
import type { Image, StoredImage } from './image.js';
import type { ReleaseFinder } from './release-finder.js';
import type { Release } from './release.js';
import { SingleFlight } from './single-flight.js';

/** Images whose digests are remembered, about 500 bytes each. The least recently downloaded is dropped first. */
const MAX_KNOWN = 10_000;
/** How long a failed download is not repeated, so that a fleet does not download a broken file again and again. */
const FAILED_MS = 10_000;

interface Failure {
  readonly error: OtaError;
  /** On the clock of `performance.now()`. */
  readonly untilMs: number;
}

/** The images of releases besides the firmware. They are downloaded when a client asks for them. */
export class ReleaseImages {
  private readonly known = new Map<string, Firmware>();
  private readonly failures = new Map<string, Failure>();
  private readonly pulls = new SingleFlight<Firmware>();

  constructor(
    private readonly finder: ReleaseFinder,
    private readonly store: FirmwareStore,
    private readonly signal: AbortSignal,
  ) {}

  /**
   * Returns `image` of `release` with all digests: at once if its bytes are in the store, otherwise a promise. Throws or
   * rejects with OtaError.
   */
  of(release: Release, image: Image): StoredImage | Promise<StoredImage> {
    const key = keyOf(release, image);
    const firmware = key === keyOf(release, release.main) ? release.firmware : this.known.get(key);
    if (firmware && this.store.has(firmware.sha256)) return release.stored(image, firmware);
    const failure = this.failures.get(key);
    if (failure && performance.now() < failure.untilMs) throw failure.error;
    return this.pulls.run(key, () => this.pull(key, release, image)).then((pulled) => release.stored(image, pulled));
  }

  private async pull(key: string, release: Release, image: Image): Promise<Firmware> {
    try {
      const firmware = await this.finder.image(release.device, image, this.signal);
      this.failures.delete(key);
      remember(this.known, key, firmware);
      return firmware;
    } catch (error) {
      const failure = OtaError.from(error, 'unavailable', `${release.device}: ${image.title} cannot be downloaded`);
      remember(this.failures, key, { error: failure, untilMs: performance.now() + FAILED_MS });
      throw failure;
    }
  }
}

/** The same layer may be unpacked in one release, and sent as it is in another. */
function keyOf({ device }: Release, { digest, source }: Image): string {
  return `${device} ${digest} ${source.packing}`;
}

function remember<T>(memory: Map<string, T>, key: string, value: T): void {
  memory.delete(key);
  memory.set(key, value);
  const oldest = memory.size > MAX_KNOWN ? memory.keys().next().value : undefined;
  if (oldest !== undefined) memory.delete(oldest);
}
