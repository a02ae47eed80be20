import { SingleBar } from 'cli-progress';

/** A progress bar on standard error, for people only. */
export class ProgressBar {
  private constructor(private readonly bar: SingleBar) {}

  /** A bar of `totalBytes`, or undefined where nobody would see it. */
  static start(totalBytes: number): ProgressBar | undefined {
    if (!process.stderr.isTTY) return undefined;
    const bar = new SingleBar({
      format: '{bar} {percentage}% {value}/{total} bytes, {eta_formatted}',
      stream: process.stderr,
      hideCursor: true,
    });
    bar.start(totalBytes, 0);
    return new ProgressBar(bar);
  }

  update(bytes: number): void {
    this.bar.update(bytes);
  }

  stop(): void {
    this.bar.stop();
  }
}
