import { Injectable } from '@nestjs/common';
import { Settings } from '../config/index.js';
import { LimitMeter } from '../metrics/index.js';
import { busy } from './answers.js';

/** The downloads under way, and MAX_DOWNLOADS. HEAD, 304 and 416 are none. */
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

  /** Throws the DeviceRefusal of a device that is to come back later, because no further download may begin now. */
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
