/** The result of reading a source again. */
export interface Reloading {
  /** Whether the trusted keys or authorities have changed. */
  readonly changed: boolean;
  /** Why the source, or a part of it, could not be read. Its last content stays in force. Undefined if all was read. */
  readonly problem: string | undefined;
}

/** A file or folder with keys or a trusted root. It is read again while the service runs. */
export interface TrustSource {
  /** The option and the path, for logs and metrics. */
  readonly name: string;
  /** Reads it again. Never throws. */
  reload(): Reloading;
}
