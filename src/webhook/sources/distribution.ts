import { z } from 'zod';
import { isIndexType, isManifestType } from '../../oci/index.js';
import type { RepositoryChange } from '../repository-change.js';
import { optionalText, WebhookSource } from '../webhook-source.js';

/** distribution/distribution, docs/content/about/notifications.md. */
const target = z.object({ mediaType: optionalText, digest: optionalText, repository: z.string(), tag: optionalText });
const envelope = z.object({ events: z.array(z.object({ action: z.string(), target })) });
const single = z.object({ action: z.string(), target: target.nullish() });

type Target = z.infer<typeof target>;

/** Returns the kind of change of an action. Pushes of blobs have events of their own, which change no release. */
function changeOf(action: string, { mediaType, digest, repository, tag }: Target): RepositoryChange[] {
  const kind = action === 'push' ? 'pushed' : action === 'delete' ? 'deleted' : undefined;
  const blob = kind === 'pushed' && mediaType && !isManifestType(mediaType) && !isIndexType(mediaType);
  if (!kind || blob) return [];
  return [{ repository, kind, ...(tag && { tag }), ...(digest && { digest }) }];
}

/** CNCF Distribution. */
export class DistributionSource extends WebhookSource {
  override readonly name: string = 'distribution';

  override parse(body: unknown): RepositoryChange[] {
    return envelope.parse(body).events.flatMap(({ action, target: what }) => changeOf(action, what));
  }
}

/** GitLab's registry, which is a Distribution registry. */
export class GitLabSource extends DistributionSource {
  override readonly name = 'gitlab';
  override readonly secretHeaders = ['x-gitlab-token'];
}

/** Azure Container Registry: one Distribution event per request. */
export class AcrSource extends WebhookSource {
  override readonly name = 'acr';

  override parse(body: unknown): RepositoryChange[] {
    const { action, target: what } = single.parse(body);
    return what ? changeOf(action, what) : [];
  }
}
