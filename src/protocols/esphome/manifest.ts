import type { Image, Release } from '../../firmware/index.js';
import type { Ask } from '../ask.js';
import type { Offer } from '../offers.js';
import type { Build } from './builds.js';

/** Longer texts are truncated: ESPHome reads the manifest into memory. */
const MAX_SUMMARY = 500;
const MAX_NAME = 128;
const URL_OF_RELEASE = /^https?:\/\/[\x21-\x7e]{1,500}$/;

/** The manifest of ESPHome and of ESP Web Tools. Both ignore what the other one needs. */
export interface Manifest {
  readonly name: string;
  /** Empty if the unit is not to be updated. */
  readonly version: string;
  readonly builds: readonly {
    readonly chipFamily: string;
    readonly ota: {
      readonly path: string;
      readonly md5: string;
      readonly summary?: string | undefined;
      readonly release_url?: string | undefined;
    };
    readonly parts?: readonly { readonly path: string; readonly offset: number }[] | undefined;
  }[];
}

/** Returns the manifest of an offer. `pathOf` returns the path of an image on this server. */
export function manifestOf(
  { release, withheld }: { readonly release: Release; readonly withheld: Offer['withheld'] },
  builds: readonly Build[],
  { running }: Ask,
  pathOf: (image: Image) => string,
): Manifest {
  const { annotations, device, version } = release;
  const url = annotations['org.opencontainers.image.url'];
  return {
    name: bounded(annotations['org.opencontainers.image.title'], MAX_NAME) ?? device,
    // ESPHome has no answer for "no update": it compares the version with its own.
    version: withheld === undefined || withheld === 'up-to-date' ? version : (running ?? ''),
    builds: builds.map(({ chipFamily, image, factory }) => ({
      chipFamily,
      ota: {
        path: pathOf(image),
        md5: image.firmware.md5,
        summary: bounded(annotations['org.opencontainers.image.description'], MAX_SUMMARY),
        release_url: url !== undefined && URL_OF_RELEASE.test(url) ? url : undefined,
      },
      parts: factory && [{ path: pathOf(factory), offset: 0 }],
    })),
  };
}

function bounded(text: string | undefined, max: number): string | undefined {
  return text === undefined || text === '' ? undefined : text.slice(0, max);
}
