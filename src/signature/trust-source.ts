/** What reading a source again came to. */
export interface Reloading {
  /** Whether other keys or authorities are trusted now. */
  readonly changed: boolean;
  /** Why the source, or a part of it, could not be read: what it said before stays in force. Undefined when all was read. */
  readonly problem: string | undefined;
}

/** One file or folder that says who is trusted, read again while the service runs. */
export interface TrustSource {
  /** The option and the path, for logs and metrics. */
  readonly name: string;
  /** Reads it again. Never throws. */
  reload(): Reloading;
}
