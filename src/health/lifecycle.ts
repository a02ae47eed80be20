import { Injectable } from '@nestjs/common';

/** The state of the process for the readiness check. */
@Injectable()
export class Lifecycle {
  private ending = false;

  get isEnding(): boolean {
    return this.ending;
  }

  /** Makes the service unready from now on. */
  end(): void {
    this.ending = true;
  }
}
