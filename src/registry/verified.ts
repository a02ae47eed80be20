import { OtaError } from '../errors.js';
import { hasherFor, type Descriptor } from '../oci/index.js';

/**
 * Yields the pieces of `source`, and counts and hashes them. Fails with `protocol` at the first byte beyond the size of
 * the blob, if bytes are missing, or if the digest differs.
 */
export async function* verified(source: AsyncIterable<Buffer>, { digest, size }: Descriptor): AsyncGenerator<Buffer> {
  const hash = hasherFor(digest);
  let received = 0;
  for await (const chunk of source) {
    received += chunk.length;
    if (received > size)
      throw new OtaError('protocol', `${digest} is longer than its ${size} bytes. Check the registry and its storage`);
    hash.update(chunk);
    yield chunk;
  }
  if (received < size)
    throw new OtaError(
      'protocol',
      `${digest} ends after ${received} of ${size} bytes. Check the registry and its storage`,
    );
  if (!digest.endsWith(`:${hash.digest('hex')}`))
    throw new OtaError(
      'protocol',
      `content is not ${digest}: its bytes have another digest. Check the registry and its storage`,
    );
}
