import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import type { RepositoryChange } from '../repository-change.js';
import { optionalText, WebhookSource } from '../webhook-source.js';

/** docs.github.com, "Webhook events and payloads", package and registry_package. */
const gitHubPackage = z.object({
  name: z.string(),
  namespace: optionalText,
  package_type: z.string(),
  owner: z.object({ login: z.string() }).nullish(),
  package_version: z
    .object({
      container_metadata: z.object({ tag: z.object({ name: optionalText, digest: optionalText }).nullish() }).nullish(),
    })
    .nullish(),
});
const gitHub = z.object({
  action: optionalText,
  registry_package: gitHubPackage.optional(),
  package: gitHubPackage.optional(),
});

/** GitHub Container Registry: events `package` and `registry_package`, and `ping` at the setup. */
export class GitHubSource extends WebhookSource {
  override readonly name = 'github';
  override readonly signatureHeader = 'x-hub-signature-256';

  override parse(body: unknown, headers: IncomingHttpHeaders): RepositoryChange[] {
    const event = headers['x-github-event'];
    if (event !== undefined && event !== 'package' && event !== 'registry_package') return [];
    const { action, ...rest } = gitHub.parse(body);
    const what = rest.registry_package ?? rest.package;
    if (what?.package_type.toLowerCase() !== 'container') return [];
    // The owner is part of the repository's name, in lower case.
    const owner = (what.owner?.login ?? what.namespace ?? '').toLowerCase();
    const tag = what.package_version?.container_metadata?.tag;
    return [
      {
        repository: [owner, what.name.toLowerCase()].filter(Boolean).join('/'),
        kind: action === 'deleted' ? 'deleted' : 'pushed',
        ...(tag?.name && { tag: tag.name }),
        ...(tag?.digest && { digest: tag.digest }),
      },
    ];
  }
}

/** docs.quay.io, "Repository notifications". Older versions sent the tags as an object. */
const quay = z.object({
  repository: z.string(),
  updated_tags: z.union([z.array(z.string()), z.record(z.string(), z.unknown())]).nullish(),
});

/** Quay: "Push to repository". */
export class QuaySource extends WebhookSource {
  override readonly name = 'quay';

  override parse(body: unknown): RepositoryChange[] {
    const { repository, updated_tags: updated } = quay.parse(body);
    const tags = Array.isArray(updated) ? updated : Object.keys(updated ?? {});
    if (tags.length === 0) return [{ repository, kind: 'pushed' }];
    return tags.map((tag) => ({ repository, kind: 'pushed', tag }));
  }
}

/** docs.docker.com, "Docker Hub webhooks". OtaFlux never calls its `callback_url`. */
const dockerHub = z.object({
  push_data: z.object({ tag: optionalText }).nullish(),
  repository: z.object({ repo_name: z.string() }),
});

export class DockerHubSource extends WebhookSource {
  override readonly name = 'dockerhub';

  override parse(body: unknown): RepositoryChange[] {
    const { push_data: pushed, repository } = dockerHub.parse(body);
    return [{ repository: repository.repo_name, kind: 'pushed', ...(pushed?.tag && { tag: pushed.tag }) }];
  }
}

/** jfrog.com, "Webhooks", domain docker. */
const artifactory = z.object({
  domain: optionalText,
  event_type: z.string(),
  data: z.object({ repo_key: optionalText, image_name: optionalText, tag: optionalText }).nullish(),
});

export class ArtifactorySource extends WebhookSource {
  override readonly name = 'artifactory';
  override readonly signatureHeader = 'x-jfrog-event-auth';
  override readonly secretHeaders = ['x-jfrog-event-auth'];

  override parse(body: unknown): RepositoryChange[] {
    const { domain, event_type: type, data } = artifactory.parse(body);
    const kind = type === 'pushed' ? 'pushed' : type === 'deleted' ? 'deleted' : undefined;
    if ((domain && domain !== 'docker') || !kind || !data?.image_name) return [];
    const tag = data.tag ? { tag: data.tag } : {};
    // By path (docker-local/fw/esp32) or by host name, depending on Artifactory's configuration. One of the two is the
    // right name.
    const names = data.repo_key ? [`${data.repo_key}/${data.image_name}`, data.image_name] : [data.image_name];
    return names.map((repository) => ({ repository, kind, ...tag }));
  }
}

const generic = z.object({ repository: z.string(), tag: optionalText });

/** Any sender of JSON: `{"repository": "fw/esp32", "tag": "1.0.0"}`. */
export class GenericSource extends WebhookSource {
  override readonly name = 'generic';
  override readonly signatureHeader = 'x-signature-256';

  override parse(body: unknown): RepositoryChange[] {
    const { repository, tag } = generic.parse(body);
    return [{ repository, kind: 'pushed', ...(tag && { tag }) }];
  }
}
