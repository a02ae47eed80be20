import type { WebhookSource } from '../webhook-source.js';
import { CloudEventsSource } from './cloud-events.js';
import { AcrSource, DistributionSource, GitLabSource } from './distribution.js';
import { HarborSource } from './harbor.js';
import { ArtifactorySource, DockerHubSource, GenericSource, GitHubSource, QuaySource } from './hosted.js';

/** The built-in senders. */
export function builtInSources(): WebhookSource[] {
  return [
    new HarborSource(),
    new DistributionSource(),
    new CloudEventsSource(),
    new GitHubSource(),
    new QuaySource(),
    new DockerHubSource(),
    new AcrSource(),
    new ArtifactorySource(),
    new GitLabSource(),
    new GenericSource(),
  ];
}
