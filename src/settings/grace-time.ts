import { Injectable } from '@nestjs/common';
import { Settings } from '../config/index.js';

/** The time that is left of SHUTDOWN_GRACE, for downloads, queues and notices together. */
@Injectable()
export class GraceTime {
  private endsAtMs = Infinity;

  constructor(private readonly settings: Settings) {}

  /** Starts the time. Called when the service begins to end. */
  begin(): void {
    this.endsAtMs = performance.now() + this.settings.shutdownGrace;
  }

  /** Milliseconds left, at least 0. The complete time before `begin`. */
  get leftMs(): number {
    return Math.min(Math.max(this.endsAtMs - performance.now(), 0), this.settings.shutdownGrace);
  }
}
