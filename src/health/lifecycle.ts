import { Injectable } from '@nestjs/common';

/** Where in its life the process is, for the readiness probe. */
@Injectable()
export class Lifecycle {
  private ending = false;

  get isEnding(): boolean {
    return this.ending;
  }

  /** From now on the service is not ready. */
  end(): void {
    this.ending = true;
  }
}
