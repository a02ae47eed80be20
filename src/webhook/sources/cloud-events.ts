import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import type { RepositoryChange } from '../repository-change.js';
import { optionalText, referenceOf, WebhookSource } from '../webhook-source.js';

/** project-zot/zot, pkg/extensions/events. */
const zotData = z.object({ name: z.string(), reference: optionalText, digest: optionalText });
const structured = z.object({ type: z.string(), data: z.unknown() });

const KINDS: Record<string, RepositoryChange['kind']> = {
  'zotregistry.image.updated': 'pushed',
  'zotregistry.repository.created': 'pushed',
  'zotregistry.image.deleted': 'deleted',
};

/** CloudEvents 1.0 as sent by zot: binary mode (headers `ce-*`, the body is the data), and structured mode. */
export class CloudEventsSource extends WebhookSource {
  override readonly name = 'cloudevents';

  override parse(body: unknown, headers: IncomingHttpHeaders): RepositoryChange[] {
    const header = headers['ce-type'];
    const { type, data } = typeof header === 'string' ? { type: header, data: body } : structured.parse(body);
    const kind = KINDS[type];
    if (!kind) return [];
    const { name, reference, digest } = zotData.parse(data);
    return [{ repository: name, kind, ...(digest && { digest }), ...referenceOf(reference) }];
  }
}
