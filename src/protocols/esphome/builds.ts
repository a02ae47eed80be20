import type { Image, Release, StoredImage } from '../../firmware/index.js';
import { printable } from '../../identity.js';

/** The chip of an image whose header does not name it, such as a gzip image for the ESP8266. */
export const CHIP_FAMILY = 'vnd.otaflux.chip-family';

/** One build of a manifest: the firmware of one chip. */
export interface Build {
  /** Such as `ESP32-C3`. */
  readonly chipFamily: string;
  readonly image: StoredImage;
  /** The image for an empty flash, with bootloader and partitions. */
  readonly factory: Image | undefined;
}

/** Further images of a release are not examined. */
const MAX_CANDIDATES = 16;
const FACTORY = /\.factory\.bin$/i;
const OTA = /\.ota\.bin$/i;
const BINARY = /\.bin(?:\.gz)?$/i;
/** Ends of the names that `esphome` and its build action give to the images of one build. */
const SUFFIX = /(?:\.factory|\.ota)?\.bin(?:\.gz)?$/i;

/** Returns the images that may be firmware for a chip, the likely ones first. */
export function candidatesOf({ images, main }: Release): Image[] {
  const binary = images
    .filter(({ title }) => !FACTORY.test(title))
    .filter((image) => image === main || isBinary(image));
  return [...binary.filter(isOta), ...binary.filter((image) => !isOta(image))].slice(0, MAX_CANDIDATES);
}

/**
 * Returns one build for each chip, with its factory image: the one of the same name, otherwise the only one. Releases of
 * several chips may contain several images of the same name: the nearest one in the list counts.
 *
 * @param found the images that could be downloaded, in the order of `candidatesOf`
 * @param isPartial whether others could not
 */
export function buildsOf(release: Release, found: readonly StoredImage[], isPartial: boolean): Build[] {
  const { images } = release;
  const first = [
    ...found.filter((image) => isApplication(image, release)),
    // A bootloader has such a header, too. It must not take the place of an application that could not be downloaded.
    ...(isPartial ? [] : found.filter((image) => !isApplication(image, release))),
  ]
    .flatMap((image) => {
      const chipFamily = image.firmware.esp?.chipFamily ?? printable(image.annotations[CHIP_FAMILY]);
      return chipFamily === undefined ? [] : [{ image, chipFamily }];
    })
    .filter(({ chipFamily }, index, all) => all.findIndex((other) => other.chipFamily === chipFamily) === index);
  const factories = images.filter(({ title }) => FACTORY.test(title));
  const used = new Set<Image>();
  return first.map(({ image, chipFamily }) => {
    const place = images.findIndex(({ digest, title }) => digest === image.digest && title === image.title);
    const distance = (factory: Image): number => Math.abs(images.indexOf(factory) - place);
    const [named] = factories
      .filter((factory) => stemOf(factory) === stemOf(image) && !used.has(factory))
      .sort((a, b) => distance(a) - distance(b));
    if (named) used.add(named);
    return {
      image,
      chipFamily,
      factory: named ?? (first.length === 1 && factories.length === 1 ? factories[0] : undefined),
    };
  });
}

/** Returns whether an image is an application for sure: it says so, or it is what the release is for. */
function isApplication({ title, digest, firmware: { esp } }: StoredImage, { main }: Release): boolean {
  return esp?.app !== undefined || digest === main.digest || OTA.test(title);
}

const isBinary = ({ title }: Image): boolean => BINARY.test(title);
const isOta = ({ title }: Image): boolean => OTA.test(title);
const stemOf = ({ title }: Image): string => title.replace(SUFFIX, '');
