import type { SignedVersion } from './assessor.js';

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
