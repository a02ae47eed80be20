import { Injectable } from '@nestjs/common';
import { Settings } from '../config/index.js';

/** SHUTDOWN_GRACE as it runs out: one for downloads, queues and notices together. */
@Injectable()
export class GraceTime {
  private endsAtMs = Infinity;

  constructor(private readonly settings: Settings) {}

  /** Called when the service begins to end. */
  begin(): void {
    this.endsAtMs = performance.now() + this.settings.shutdownGrace;
  }

  /** Milliseconds that are left of it, from 0; all of it before the end begins. */
  get leftMs(): number {
    return Math.min(Math.max(this.endsAtMs - performance.now(), 0), this.settings.shutdownGrace);
  }
}
