import { Injectable } from '@nestjs/common';
import { Settings } from '../config/index.js';
import { LimitMeter } from '../metrics/index.js';
import { busy } from './answers.js';

/** The number of downloads in progress, and the limit MAX_DOWNLOADS. HEAD, 304 and 416 do not count. */
@Injectable()
export class Downloads {
  private readonly max: number;
  private underWay = 0;

  constructor(
    settings: Settings,
    private readonly meter: LimitMeter,
  ) {
    this.max = settings.maxDownloads ?? Infinity;
    meter.observe(() => this.underWay);
  }

  /** Throws a DeviceRefusal, which asks the device to try again later, if no further download may start now. */
  demand(): void {
    if (this.underWay < this.max) return;
    this.meter.refused('downloads');
    throw busy();
  }

  begin(): void {
    this.underWay++;
  }

  end(): void {
    this.underWay--;
  }
}
