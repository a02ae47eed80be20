/** What the server would say of one version. */
export interface CheckedVersion {
  readonly version: string;
  readonly tag: string;
  /** Null when the tag names no manifest. */
  readonly digest: string | null;
  /** `trusted`, `unverified` when nothing is asked for, a Distrust, or `no-firmware`. */
  readonly result: string;
  readonly form: string | null;
  readonly signer: string | null;
  readonly signedAt: string | null;
  /** What a legacy signature says it was made for. */
  readonly reference: string | null;
  readonly reason: string | null;
  /** When it was made, as its annotation says. */
  readonly created: string | null;
  /** Bytes of the layer that holds the firmware. */
  readonly size: number | null;
}

export const isGood = ({ result }: CheckedVersion): boolean => result === 'trusted' || result === 'unverified';

export const shortDigest = ({ digest }: CheckedVersion): string => (digest === null ? '-' : `${digest.slice(0, 19)}…`);
