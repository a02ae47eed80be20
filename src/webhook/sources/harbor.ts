import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import type { RepositoryChange } from '../repository-change.js';
import { optionalText, referenceOf, WebhookSource } from '../webhook-source.js';

/**
 * goharbor/harbor, src/pkg/notifier/model/event.go and src/controller/event/topic.go. Some events have no repository.
 */
const data = z.object({
  resources: z.array(z.object({ digest: optionalText, tag: optionalText })).nullish(),
  repository: z.object({ repo_full_name: z.string(), name: optionalText }).nullish(),
});
const standard = z.object({ type: z.string(), event_data: data.nullish() });
const cloudEvent = z.object({ type: z.string(), data: data.nullish() });

const KINDS: Record<string, RepositoryChange['kind']> = {
  PUSH_ARTIFACT: 'pushed',
  DELETE_ARTIFACT: 'deleted',
  'harbor.artifact.pushed': 'pushed',
  'harbor.artifact.deleted': 'deleted',
};

/** Harbor, in both of its payload formats. The content type selects the format. */
export class HarborSource extends WebhookSource {
  override readonly name = 'harbor';

  override parse(body: unknown, headers: IncomingHttpHeaders): RepositoryChange[] {
    const structured = headers['content-type']?.includes('cloudevents') ?? false;
    const { type, content } = structured ? this.readCloudEvent(body) : this.readStandard(body);
    const kind = KINDS[type];
    if (!kind || !content?.repository) return [];
    const { repo_full_name: repository, name } = content.repository;
    const change: RepositoryChange = { repository, kind, ...(name && { name }) };
    const resources = content.resources ?? [];
    if (resources.length === 0) return [change];
    return resources.map(({ tag, digest }) => ({
      ...change,
      ...(digest ? { digest } : {}),
      ...referenceOf(tag),
    }));
  }

  private readStandard(body: unknown): { type: string; content: z.infer<typeof data> | null | undefined } {
    const { type, event_data: content } = standard.parse(body);
    return { type, content };
  }

  private readCloudEvent(body: unknown): { type: string; content: z.infer<typeof data> | null | undefined } {
    const { type, data: content } = cloudEvent.parse(body);
    return { type, content };
  }
}
