import {
  BadRequestException,
  Controller,
  Get,
  HttpCode,
  NotFoundException,
  Post,
  Query,
  Res,
  UseGuards,
} from '@nestjs/common';
import type { Response } from 'express';
import { Fleet } from '../fleet/index.js';
import { isUnitName } from '../identity.js';
import { ManagementOnly } from '../metrics/index.js';
import { isRepositoryName } from '../oci/index.js';
import { ManagementToken } from './management-token.js';
import { csvOf, pageOf, shown, type UnitStatus, type UnitsPage } from './units.js';

const MAX_LIMIT = 10_000;
const DEFAULT_LIMIT = 100;

/** What units have reported. On the management port only, protected by MANAGEMENT_TOKEN. */
@Controller('units')
@UseGuards(ManagementOnly, ManagementToken)
export class UnitsController {
  constructor(private readonly fleet: Fleet) {}

  /** Returns a page of the units of a product, or one unit. `format=csv` returns CSV, with the next page in `Link`. */
  @Get()
  async units(
    @Res({ passthrough: true }) response: Response,
    @Query('product') product = '',
    @Query('unit') unit?: string,
    @Query('after') after?: string,
    @Query('limit') limitText?: string,
    @Query('format') format = 'json',
  ): Promise<UnitsPage | UnitStatus | string> {
    demandProductName(product);
    if (format !== 'json' && format !== 'csv') throw new BadRequestException('format: expected json or csv');
    const found =
      unit === undefined ? await this.page(product, after, limitOf(limitText)) : await this.one(product, unit);
    if (format === 'json') return found;
    response.setHeader('Content-Type', 'text/csv; charset=utf-8');
    if (!('units' in found)) return csvOf([found], true);
    if (found.next !== null) response.setHeader('X-Next-After', encodeURIComponent(found.next));
    return csvOf(found.units, after === undefined);
  }

  /**
   * Lets a unit try the release again that it has failed to install or has rejected. Returns the outcome that is
   * forgotten: null if there was none.
   */
  @Post('retry')
  @HttpCode(200)
  async retry(
    @Query('product') product = '',
    @Query('unit') unit = '',
  ): Promise<{ product: string; unit: string; forgotten: UnitStatus['outcome'] }> {
    demandProductName(product);
    demandUnitName(unit);
    const before = await this.fleet.retry({ product, unit });
    if (!before) throw noUnit(product, unit);
    return { product, unit, forgotten: shown({ unit, ...before }).outcome };
  }

  /** Forgets a unit, with the key that was accepted for it on first use. Returns what was known of it. */
  @Post('forget')
  @HttpCode(200)
  async forget(@Query('product') product = '', @Query('unit') unit = ''): Promise<{ product: string } & UnitStatus> {
    demandProductName(product);
    demandUnitName(unit);
    const before = await this.fleet.forget({ product, unit });
    if (!before) throw noUnit(product, unit);
    return { product, ...shown({ unit, ...before }) };
  }

  private async page(product: string, after: string | undefined, limit: number): Promise<UnitsPage> {
    if (after !== undefined && !isUnitName(after))
      throw new BadRequestException('after: expected the name of a unit, the value of next of the page before');
    const listed = await this.fleet.list(product, after, limit);
    return pageOf(product, await this.fleet.counts(product), listed, limit);
  }

  private async one(product: string, unit: string): Promise<UnitStatus> {
    demandUnitName(unit);
    await this.fleet.flush();
    const state = await this.fleet.find({ product, unit });
    if (!state) throw noUnit(product, unit);
    return shown({ unit, ...state });
  }
}

function limitOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_LIMIT;
  const limit = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > MAX_LIMIT) throw new BadRequestException(`limit: expected a number from 1 to ${MAX_LIMIT}`);
  return limit;
}

function demandProductName(product: unknown): void {
  if (typeof product !== 'string' || !isRepositoryName(product))
    throw new BadRequestException('product: expected a device id such as esp32 or line-1/sensor');
}

function demandUnitName(unit: unknown): void {
  if (typeof unit !== 'string' || !isUnitName(unit))
    throw new BadRequestException('unit: expected 1 to 128 printable characters');
}

function noUnit(product: string, unit: string): NotFoundException {
  return new NotFoundException(
    `${product} has no unit ${JSON.stringify(unit)}. Check its name. A unit is known after its first request that names it`,
  );
}
