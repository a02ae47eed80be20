/**
 * A registry that reads firmware from an S3 bucket. The bucket contains one OCI image layout per repository.
 * `otaflux push --registry-url oci:DIR` and `oras copy --to-oci-layout` write such layouts; upload them with
 * `aws s3 sync DIR s3://BUCKET`. Then:
 *   npm install aws4fetch
 *   S3_URL=https://BUCKET.s3.eu-central-1.amazonaws.com AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \
 *     otaflux --plugin ./s3-registry.mjs
 */
import { AwsClient } from 'aws4fetch';
import { Readable } from 'node:stream';
import { digestOf, OtaError, parseManifest, Registry, verified } from 'otaflux';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const REF_NAME = 'org.opencontainers.image.ref.name';
const tagOf = ({ annotations }) => annotations?.[REF_NAME];

class S3Registry extends Registry {
  constructor(url, credentials) {
    super();
    this.url = url.replace(/\/+$/, '');
    this.client = new AwsClient({ ...credentials, service: 's3' });
  }

  async listTags(repository, signal) {
    return (await this.entries(repository, signal)).flatMap((entry) => tagOf(entry) ?? []);
  }

  async resolve(repository, reference, signal) {
    const entries = await this.entries(repository, signal);
    const found = entries.find((entry) => tagOf(entry) === reference || entry.digest === reference);
    if (!found) throw new OtaError('absent', `${repository} has no ${reference}`);
    return found;
  }

  async fetchManifest(repository, descriptor, signal) {
    const response = await this.get(blobPath(repository, descriptor.digest), signal);
    const bytes = Buffer.from(await response.arrayBuffer());
    if (digestOf(bytes) !== descriptor.digest) throw new OtaError('protocol', `${descriptor.digest} has other bytes`);
    return { descriptor, bytes, content: parseManifest(bytes, descriptor.mediaType) };
  }

  async fetchBlob(repository, blob, signal) {
    const response = await this.get(blobPath(repository, blob.digest), signal);
    // `verified` checks size and digest while the bytes flow.
    return Readable.from(verified(Readable.fromWeb(response.body), blob), { objectMode: false });
  }

  // Signatures are manifests in the same layout. Their subject is the signed manifest.
  async listReferrers(repository, digest, _artifactType, signal) {
    const found = [];
    for (const entry of await this.entries(repository, signal)) {
      const { content } = await this.fetchManifest(repository, entry, signal);
      if (content.subject?.digest === digest) found.push(entry);
    }
    return found;
  }

  async ping(signal) {
    await this.get('', signal);
  }

  async entries(repository, signal) {
    const response = await this.get(`${repository}/index.json`, signal);
    return parseManifest(Buffer.from(await response.arrayBuffer()), INDEX).manifests;
  }

  /** Throws an OtaError. `absent` means that it does not exist. After any other code, OtaFlux keeps serving the last release. */
  async get(path, signal) {
    let response;
    try {
      response = await this.client.fetch(`${this.url}/${path}`, { signal });
    } catch (cause) {
      throw new OtaError('unavailable', `the bucket cannot be reached: ${cause.message}`, { cause });
    }
    if (response.ok) return response;
    if (response.status === 404) throw new OtaError('absent', `${path} is not in the bucket`);
    throw new OtaError(codeOf(response.status), `the bucket answered ${response.status}`);
  }
}

function codeOf(status) {
  if (status === 401 || status === 403) return 'denied';
  return status === 429 || status >= 500 ? 'unavailable' : 'protocol';
}

function blobPath(repository, digest) {
  return `${repository}/blobs/${digest.replace(':', '/')}`;
}

export default () => {
  const { S3_URL, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = process.env;
  if (!S3_URL || !accessKeyId || !secretAccessKey)
    throw new Error('S3_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are needed');
  return { registry: new S3Registry(S3_URL, { accessKeyId, secretAccessKey }) };
};
