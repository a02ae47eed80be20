import type { Image, Release, StoredImage } from '../../firmware/index.js';

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
 * Returns one build for each chip, the first one, with its factory image: the one of the same name, otherwise the only one.
 * Releases of several chips may contain several images of the same name: the nearest one in the list counts.
 */
export function buildsOf(
  { images }: Release,
  found: readonly { readonly image: StoredImage; readonly chipFamily: string }[],
): Build[] {
  const first = found.filter(
    ({ chipFamily }, index) => found.findIndex((other) => other.chipFamily === chipFamily) === index,
  );
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

const isBinary = ({ title }: Image): boolean => BINARY.test(title);
const isOta = ({ title }: Image): boolean => OTA.test(title);
const stemOf = ({ title }: Image): string => title.replace(SUFFIX, '');
