import {
  All,
  Controller,
  Header,
  HttpCode,
  HttpException,
  HttpStatus,
  Inject,
  Logger,
  NotFoundException,
  Param,
  Post,
  Req,
  Res,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { Settings } from '../config/index.js';
import { WebhookMeter } from '../metrics/index.js';
import { schemaProblem } from '../schema-problem.js';
import { continued, traced } from '../tracing.js';
import type { RepositoryChange } from './repository-change.js';
import { RefreshQueue } from './refresh-queue.js';
import { badRequest, parseBody, readRequest } from './request-body.js';
import { WebhookLimit } from './webhook-limit.js';
import { WebhookSecrets } from './webhook-secrets.js';
import type { WebhookSource } from './webhook-source.js';

/** The response to a sender: how many changes start a refresh, and why others do not. */
interface WebhookAnswer {
  readonly queued: number;
  readonly reason?: string;
}

/** Injection token of the list of sources. */
export const WEBHOOK_SOURCES = Symbol('webhook sources');

/**
 * `POST /webhooks/{source}`. Responds when the devices are queued. The refresh asks the registry, and does not use the
 * content of the webhook.
 */
@Controller('webhooks')
@UseGuards(WebhookLimit)
export class WebhookController {
  private readonly sources: ReadonlyMap<string, WebhookSource>;
  private readonly logger = new Logger('WebhookController');
  private readonly secrets: WebhookSecrets;

  constructor(
    @Inject(WEBHOOK_SOURCES) sources: readonly WebhookSource[],
    private readonly queue: RefreshQueue,
    private readonly meter: WebhookMeter,
    private readonly limit: WebhookLimit,
    settings: Settings,
  ) {
    this.sources = new Map(sources.map((source) => [source.name, source]));
    this.secrets = new WebhookSecrets(settings.webhookSecret ?? []);
  }

  @Post(':source')
  @HttpCode(200)
  async receive(
    @Param('source') name: string,
    @Req() request: IncomingMessage,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<WebhookAnswer> {
    const source = this.sources.get(name);
    if (!source)
      throw new NotFoundException(
        `there is no webhook source ${JSON.stringify(name.slice(0, 50))}. Use one of ${[...this.sources.keys()].join(', ')}`,
      );
    return continued(request.headers, () =>
      traced('otaflux.webhook', { source: name }, () => this.handle(name, source, request, response)),
    );
  }

  private async handle(
    name: string,
    source: WebhookSource,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<WebhookAnswer> {
    try {
      const body = await this.authenticated(request, source);
      const changes = changesIn(source, parseBody(body, request.headers['content-type'] ?? ''), request);
      const { queued, unknown, reason } = this.queue.add(changes);
      this.meter.received(name, queued > 0 ? 'queued' : 'ignored');
      const line = { event: 'webhook.received', source: name, changes: changes.length, queued, unknown, reason };
      // Registries report pulls, too, also those of this server.
      if (changes.length > 0) this.logger.log(line);
      else this.logger.debug(line);
      return { queued, ...(reason !== undefined && { reason }) };
    } catch (error) {
      this.meter.received(name, error instanceof HttpException ? resultOf(error.getStatus()) : 'failed');
      if (!(error instanceof UnauthorizedException)) throw error;
      const address = this.limit.addressOf(request);
      this.logger.warn({ event: 'webhook.unauthorized', source: name, address, reason: error.message });
      throw this.limit.wrongSecret(request, response) ?? error;
    }
  }

  @All(':source')
  @Header('Allow', 'POST')
  refuse(): never {
    throw new HttpException('use POST to send a webhook', HttpStatus.METHOD_NOT_ALLOWED);
  }

  /**
   * Returns the raw body of a request with a valid secret. Throws 401 before the body is read, unless only the
   * signature of the body can tell.
   */
  private async authenticated(request: IncomingMessage, source: WebhookSource): Promise<Buffer> {
    const shown = this.secrets.shownBy(request, source);
    if (shown === 'no')
      throw new UnauthorizedException(
        'the webhook secret is missing or wrong. Send WEBHOOK_SECRET as Authorization: Bearer SECRET',
      );
    const body = await readRequest(request);
    if (shown === 'signed' && !this.secrets.hasSigned(request, source, body))
      throw new UnauthorizedException('the signature of the body is wrong. Sign it with WEBHOOK_SECRET');
    return body;
  }
}

/** Returns the changes that `source` finds in a body. Throws 400 with one line that names the field. */
function changesIn(source: WebhookSource, body: unknown, { headers }: IncomingMessage): RepositoryChange[] {
  try {
    return source.parse(body, headers);
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    const problem = schemaProblem(error);
    throw badRequest(problem.includes(': ') ? problem : `the body: ${problem}`);
  }
}

function resultOf(status: number): string {
  return status === 401 ? 'unauthorized' : status === 413 ? 'too_large' : 'invalid';
}
