import type { EspImage } from '../esp-image.js';
import { conditionsOf, mayTake, type Conditional, type Deliverable, type Release } from '../firmware/index.js';

/** Why a client must not get a release. */
export interface Mismatch {
  /** `hardware`: it is for other hardware. `requires`: the client has to run another version first. */
  readonly reason: 'hardware' | 'requires';
  /** What is wrong, for people. */
  readonly message: string;
}

/**
 * A chip of Espressif, as people and programs write it: `ESP32-C3`, `esp32c3`, `ESP32-S2FH16`, `esp32-c3 v0.3`. The
 * revision has a major and a minor number. Other words behind `esp32-` are models of the first ESP32, or boards.
 */
const CHIP =
  /^esp(?<family>8266|32[-_ ]?(?:s[23]|c61|c[2356]|h21|h[24]|p4)(?!\d)|32(?=$|[-_ @]|v))(?:[-_ @]*(?:rev(?:ision)?)?[-_ ]*v?(?<major>\d{1,2})\.(?<minor>\d{1,2}))?/i;
const SEPARATORS = /[-_ ]/g;

/** What a client gets: a release, or an image of it. */
export type Guarded = Conditional & Pick<Deliverable, 'firmware'>;

/** Returns whether some clients may not get `release`. Called on the hot path. */
export function isGuarded(release: Release, hardware: string | undefined): boolean {
  return conditionsOf(release) !== undefined || (hardware !== undefined && release.firmware.esp !== undefined);
}

/** Returns why hardware of this name must not get `release`, or undefined. Unknown hardware gets it. */
export function hardwareMismatch(release: Guarded, hardware: string | undefined): Mismatch | undefined {
  if (hardware === undefined) return undefined;
  const fits = conditionsOf(release)?.fitsHardware;
  if (fits && !fits(hardware))
    return {
      reason: 'hardware',
      message: `${release.version} is for ${release.annotations['vnd.otaflux.hardware'] ?? ''}, but the unit says ${hardware}`,
    };
  const { esp } = release.firmware;
  return esp && chipMismatch(release, esp, hardware);
}

/** Returns why a unit that runs `running` has to take another release before `release`, or undefined. */
export function versionMismatch(release: Release, running: string | undefined): Mismatch | undefined {
  if (mayTake(release, running)) return undefined;
  return {
    reason: 'requires',
    message: `${release.version} requires ${release.annotations['vnd.otaflux.requires'] ?? ''}, but the unit ${running === undefined ? 'does not say what it runs' : `runs ${running}`}`,
  };
}

function chipMismatch({ version }: Guarded, esp: EspImage, hardware: string): Mismatch | undefined {
  const { family, major, minor } = CHIP.exec(hardware)?.groups ?? {};
  if (family === undefined || esp.chipFamily === undefined) return undefined;
  if (plain(`esp${family}`) !== plain(esp.chipFamily))
    return {
      reason: 'hardware',
      message: `${version} is an image for ${esp.chipFamily}, but the unit says ${hardware}`,
    };
  if (major === undefined || minor === undefined) return undefined;
  const revision = Number(major) * 100 + Number(minor);
  if (revision >= esp.minChipRevision && revision <= (esp.maxChipRevision ?? Infinity)) return undefined;
  return {
    reason: 'hardware',
    message: `${version} needs revision ${revisionText(esp.minChipRevision)} of the chip or later${esp.maxChipRevision === undefined ? '' : `, up to ${revisionText(esp.maxChipRevision)}`}, but the unit says ${hardware}`,
  };
}

const plain = (family: string): string => family.toLowerCase().replaceAll(SEPARATORS, '');
const revisionText = (revision: number): string => `v${Math.floor(revision / 100)}.${revision % 100}`;
