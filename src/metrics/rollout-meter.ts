import { Injectable } from '@nestjs/common';
import { Gauge } from 'prom-client';
import { Settings } from '../config/index.js';
import { MetricsRegistry } from './metrics-registry.js';

/** The figures of one rollout at a scrape. */
export interface RolloutSample {
  readonly device: string;
  readonly version: string;
  /** The stage that it has reached, from 1. 0 before its start. */
  readonly stage: number;
  readonly isHalted: boolean;
  /** Whether everybody is offered the version. */
  readonly isOver: boolean;
  readonly tally: { readonly offered: number; readonly installed: number; readonly failed: number };
}

/** Further rollouts of one device have no series of their own. */
const MAX_ROLLOUTS = 20;

/** The metrics of rollouts. Only METRICS_DEVICES devices have series of their own, those with a rollout under way first. */
@Injectable()
export class RolloutMeter {
  private readonly maxDevices: number;
  private read: () => Iterable<RolloutSample> = () => [];

  constructor(metrics: MetricsRegistry, { metricsDevices }: Settings) {
    this.maxDevices = metricsDevices;
    const registers = [metrics];
    const samples = (): readonly RolloutSample[] => this.samples();
    const all = (): Iterable<RolloutSample> => this.read();
    new Gauge({
      name: 'otaflux_rollout_stage',
      help: 'Stage that a rollout has reached, from 1: 0 before its start, one more than its stages when everybody is offered the version.',
      labelNames: ['device_id', 'version'],
      registers,
      collect() {
        this.reset();
        for (const { device, version, stage } of samples()) this.set({ device_id: device, version }, stage);
      },
    });
    new Gauge({
      name: 'otaflux_rollout_units',
      help: 'Units of a rollout: offered, installed and failed.',
      labelNames: ['device_id', 'version', 'outcome'],
      registers,
      collect() {
        this.reset();
        for (const { device, version, tally } of samples())
          for (const outcome of ['offered', 'installed', 'failed'] as const)
            this.set({ device_id: device, version, outcome }, tally[outcome]);
      },
    });
    new Gauge({
      name: 'otaflux_rollouts_halted',
      help: 'Rollouts that are halted because too many installs have failed.',
      registers,
      collect() {
        let halted = 0;
        for (const { isHalted } of all()) if (isHalted) halted++;
        this.set(halted);
      },
    });
  }

  /** Sets the function that returns the figures of all rollouts. It is called at each scrape. */
  observe(read: () => Iterable<RolloutSample>): void {
    this.read = read;
  }

  private samples(): readonly RolloutSample[] {
    const all = [...this.read()];
    const devices = new Set<string>();
    const counts = new Map<string, number>();
    return [...all.filter(({ isOver }) => !isOver), ...all.filter(({ isOver }) => isOver)].filter(({ device }) => {
      if (!devices.has(device) && devices.size >= this.maxDevices) return false;
      devices.add(device);
      const count = (counts.get(device) ?? 0) + 1;
      counts.set(device, count);
      return count <= MAX_ROLLOUTS;
    });
  }
}
