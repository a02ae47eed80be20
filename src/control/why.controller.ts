import {
  BadRequestException,
  Controller,
  Get,
  Header,
  NotFoundException,
  Query,
  Req,
  Res,
  ServiceUnavailableException,
  UseGuards,
} from '@nestjs/common';
import type { Request, Response } from 'express';
import { Clock } from '../clock.js';
import { OtaError } from '../errors.js';
import { ReleaseService } from '../firmware/index.js';
import { Fleet } from '../fleet/index.js';
import { isUnitName, printable } from '../identity.js';
import { ManagementOnly } from '../metrics/index.js';
import { isRepositoryName } from '../oci/index.js';
import { Rollouts } from '../rollout/index.js';
import { decided } from './decision.js';
import { ManagementToken } from './management-token.js';
import { textOf, type Why } from './why.js';

/** ISO 8601 with a time zone, or a date. */
const TIME = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2}))?$/;

/** Why a unit is offered what it is offered. On the management port only, protected by MANAGEMENT_TOKEN. */
@Controller('why')
@UseGuards(ManagementOnly, ManagementToken)
export class WhyController {
  constructor(
    private readonly releases: ReleaseService,
    private readonly rollouts: Rollouts,
    private readonly fleet: Fleet,
    private readonly clock: Clock,
  ) {}

  /** Returns the decision for a unit, step by step: as JSON, or as text if the client accepts text only. */
  @Get()
  @Header('Cache-Control', 'no-store')
  async why(
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
    @Query('product') product = '',
    @Query('unit') unit?: string,
    @Query('at') at?: string,
    @Query('running') running?: string,
    @Query('channel') channel?: string,
    @Query('hardware') hardware?: string,
  ): Promise<Why | string> {
    if (typeof product !== 'string' || !isRepositoryName(product))
      throw new BadRequestException('product: expected a device id such as esp32 or line-1/sensor');
    if (unit !== undefined && (typeof unit !== 'string' || !isUnitName(unit)))
      throw new BadRequestException('unit: expected 1 to 128 printable characters');
    const atMs = at === undefined ? this.clock.nowMs() : timeOf(at);
    await this.demandProduct(product);
    if (unit !== undefined) await this.fleet.flush();
    const state = unit === undefined ? undefined : await this.fleet.find({ product, unit });
    const asked = {
      product,
      unit,
      channel: textOfParameter('channel', channel),
      running: textOfParameter('running', running) ?? state?.running,
      hardware: textOfParameter('hardware', hardware) ?? state?.hardware,
      attributes: state?.attributes,
    };
    const current = this.rollouts.planned(product) ? undefined : await this.releases.current(product);
    const why = decided(this.rollouts, asked, state, current, atMs);
    if (request.accepts(['application/json', 'text/plain']) !== 'text/plain') return why;
    response.setHeader('Content-Type', 'text/plain; charset=utf-8');
    return textOf(why);
  }

  /** Waits until it is known what is offered of a product. Rejects with the answer if it has no release. */
  private async demandProduct(product: string): Promise<void> {
    try {
      await this.releases.current(product);
    } catch (error) {
      if (this.rollouts.planned(product)) return;
      const failure = OtaError.from(error, 'unavailable', product);
      if (OtaError.isAnswer(failure))
        throw new NotFoundException(`${product} has no release. Check the device id, and refresh.failed in the log`);
      throw new ServiceUnavailableException(
        `the release of ${product} is not known: ${this.releases.registryState.reasonOf(failure)}`,
      );
    }
  }
}

function timeOf(text: unknown): number {
  const atMs = typeof text === 'string' && TIME.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(atMs)) throw new BadRequestException('at: expected a time such as 2026-11-25T08:00:00Z');
  return atMs;
}

function textOfParameter(name: string, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  const text = printable(value);
  if (text === undefined) throw new BadRequestException(`${name}: expected 1 to 128 printable characters`);
  return text;
}
