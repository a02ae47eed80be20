/** What senders really send (their sources and documentation), for a push of `repository:tag`. */
export interface Sample {
  readonly source: string;
  readonly name: string;
  readonly headers: Record<string, string>;
  readonly body: unknown;
}

const DIGEST = `sha256:${'a'.repeat(64)}`;
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/** A body of every sender that tells of a push to `fw/line-1/sensor`, tag 1.0.0. */
export function pushSamples(repository = 'fw/line-1/sensor', tag = '1.0.0', digest = DIGEST): Sample[] {
  const [namespace = '', ...rest] = repository.split('/');
  const name = rest.join('/');
  const harbor = (resourceTag: string): object => ({
    resources: [{ digest, tag: resourceTag, resource_url: `registry.example/${repository}:${resourceTag}` }],
    repository: { date_created: 1704067000, name, namespace, repo_full_name: repository, repo_type: 'private' },
  });
  const distribution = {
    id: '1',
    timestamp: '2026-11-24T00:00:00Z',
    action: 'push',
    target: { mediaType: MANIFEST, digest, size: 708, length: 708, repository, url: 'http://x', tag },
    request: { id: '2' },
    actor: {},
    source: { addr: 'x' },
  };
  const github = {
    name,
    namespace,
    package_type: 'CONTAINER',
    owner: { login: namespace.toUpperCase() },
    package_version: {
      container_metadata: { tag: { name: tag, digest } },
      package_url: `ghcr.io/${repository}:${tag}`,
    },
  };
  const json = { 'content-type': 'application/json' };
  return [
    {
      source: 'harbor',
      name: 'default',
      headers: json,
      body: { type: 'PUSH_ARTIFACT', occur_at: 1, operator: 'admin', event_data: harbor(tag) },
    },
    {
      source: 'harbor',
      name: 'digest as tag',
      headers: json,
      body: { type: 'PUSH_ARTIFACT', occur_at: 1, operator: 'admin', event_data: harbor(digest) },
    },
    {
      source: 'harbor',
      name: 'deletion',
      headers: json,
      body: { type: 'DELETE_ARTIFACT', occur_at: 1, operator: 'admin', event_data: harbor(tag) },
    },
    {
      source: 'harbor',
      name: 'CloudEvents',
      headers: { 'content-type': 'application/cloudevents+json' },
      body: {
        specversion: '1.0',
        id: '1',
        source: '/projects/1/webhook/policies/3',
        type: 'harbor.artifact.pushed',
        datacontenttype: 'application/json',
        data: harbor(tag),
      },
    },
    {
      source: 'distribution',
      name: 'v2',
      headers: { 'content-type': 'application/vnd.docker.distribution.events.v2+json' },
      body: { events: [distribution] },
    },
    {
      source: 'distribution',
      name: 'v1',
      headers: { 'content-type': 'application/vnd.docker.distribution.events.v1+json' },
      body: { events: [distribution] },
    },
    {
      source: 'gitlab',
      name: 'events',
      headers: { 'content-type': 'application/vnd.docker.distribution.events.v1+json' },
      body: { events: [distribution] },
    },
    {
      source: 'acr',
      name: 'push',
      headers: json,
      body: {
        id: '1',
        timestamp: 'x',
        action: 'push',
        target: { mediaType: MANIFEST, size: 524, digest, length: 524, repository, tag },
        request: {},
      },
    },
    {
      source: 'cloudevents',
      name: 'zot, binary mode',
      headers: {
        ...json,
        'ce-specversion': '1.0',
        'ce-type': 'zotregistry.image.updated',
        'ce-id': '1',
        'ce-source': 'zotregistry.dev',
      },
      body: { name: repository, reference: tag, digest, mediaType: MANIFEST, manifest: '{}', actor: {}, request: {} },
    },
    {
      source: 'cloudevents',
      name: 'zot, structured mode',
      headers: { 'content-type': 'application/cloudevents+json' },
      body: {
        specversion: '1.0',
        id: '1',
        source: 'zotregistry.dev',
        type: 'zotregistry.image.updated',
        data: { name: repository, reference: digest, digest },
      },
    },
    {
      source: 'github',
      name: 'registry_package',
      headers: { ...json, 'x-github-event': 'registry_package' },
      body: { action: 'published', registry_package: github },
    },
    {
      source: 'github',
      name: 'package',
      headers: { ...json, 'x-github-event': 'package' },
      body: { action: 'published', package: github },
    },
    {
      source: 'quay',
      name: 'push',
      headers: json,
      body: { name, repository, namespace, docker_url: `quay.io/${repository}`, homepage: 'x', updated_tags: [tag] },
    },
    {
      source: 'quay',
      name: 'old push',
      headers: json,
      body: { name, repository, namespace, updated_tags: { [tag]: 'image-id' } },
    },
    {
      source: 'dockerhub',
      name: 'push',
      headers: json,
      body: {
        callback_url: 'http://127.0.0.1:1/',
        push_data: { pushed_at: 1417566161, pusher: 'x', tag },
        repository: { repo_name: repository, namespace, name },
      },
    },
    {
      source: 'artifactory',
      name: 'push by host',
      headers: json,
      body: {
        domain: 'docker',
        event_type: 'pushed',
        data: {
          repo_key: 'docker-local',
          event_type: 'pushed',
          path: `${repository}/${tag}/manifest.json`,
          image_name: repository,
          tag,
        },
      },
    },
    { source: 'generic', name: 'with a tag', headers: json, body: { repository, tag } },
    { source: 'generic', name: 'without', headers: json, body: { repository } },
  ];
}

/** Bodies that tell of nothing that changes a release. */
export const IGNORED: Sample[] = [
  // Names that no repository can have, and that would be wildcards or another topic at a broker.
  ...['fw/+', 'fw/#', 'fw/a/+/b', 'fw/$SYS', 'fw/../x', 'fw/a\u0000'].map((repository) => ({
    source: 'generic',
    name: JSON.stringify(repository),
    headers: {},
    body: { repository },
  })),
  {
    source: 'harbor',
    name: 'scan',
    headers: {},
    body: { type: 'SCANNING_COMPLETED', event_data: { repository: { repo_full_name: 'fw/x' } } },
  },
  {
    source: 'harbor',
    name: 'pull',
    headers: {},
    body: { type: 'PULL_ARTIFACT', event_data: { repository: { repo_full_name: 'fw/x' } } },
  },
  { source: 'harbor', name: 'quota', headers: {}, body: { type: 'QUOTA_EXCEED', event_data: {} } },
  {
    source: 'harbor',
    name: 'replication',
    headers: {},
    body: { type: 'REPLICATION', event_data: { replication: {} } },
  },
  {
    source: 'harbor',
    name: 'another repository',
    headers: {},
    body: { type: 'PUSH_ARTIFACT', event_data: { repository: { repo_full_name: 'other/x' } } },
  },
  {
    source: 'distribution',
    name: 'pull',
    headers: {},
    body: { events: [{ action: 'pull', target: { repository: 'fw/x' } }] },
  },
  {
    source: 'distribution',
    name: 'blob',
    headers: {},
    body: { events: [{ action: 'push', target: { mediaType: 'application/octet-stream', repository: 'fw/x' } }] },
  },
  { source: 'distribution', name: 'nothing', headers: {}, body: { events: [] } },
  { source: 'cloudevents', name: 'scan', headers: { 'ce-type': 'zotregistry.image.scanned' }, body: {} },
  { source: 'github', name: 'ping', headers: { 'x-github-event': 'ping' }, body: { zen: 'x' } },
  {
    source: 'github',
    name: 'npm',
    headers: { 'x-github-event': 'package' },
    body: { package: { name: 'x', package_type: 'npm' } },
  },
  { source: 'acr', name: 'chart', headers: {}, body: { action: 'chart_push', target: { repository: 'fw/x' } } },
  {
    source: 'artifactory',
    name: 'promotion',
    headers: {},
    body: { domain: 'docker', event_type: 'promoted', data: {} },
  },
];
