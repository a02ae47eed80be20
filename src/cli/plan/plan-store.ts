import { OtaError, reasonOf } from '../../errors.js';
import type { Descriptor, Digest } from '../../oci/index.js';
import { PLAN_MEDIA_TYPE, PLAN_TAG } from '../../plan/plan.js';
import type { ArtifactWriter, Registry } from '../../registry/index.js';
import { delay } from '../../timers.js';
import type { Signer } from '../sign/manifest-signer.js';
import { planArtifact, type PlanArtifact } from './plan-artifact.js';

/** A plan in the registry. */
export interface StoredPlan {
  readonly text: string;
  readonly manifest: Descriptor;
}

/** The server refuses a larger plan. */
export const MAX_PLAN_BYTES = 256 * 1024;
/**
 * How long after a push it is read back. Somebody who found the old plan just before this push has pushed by then, unless
 * a request takes longer (decision 72).
 */
const SETTLE_MS = 500;

/** The plan of one repository. Every method rejects with OtaError. */
export class PlanStore {
  private readonly signal = new AbortController().signal;

  constructor(
    private readonly registry: Registry,
    private readonly writer: () => Promise<ArtifactWriter>,
    readonly repository: string,
  ) {}

  /** Returns the plan in the registry, or undefined if there is none. */
  async read(): Promise<StoredPlan | undefined> {
    const manifest = await this.current();
    if (!manifest) return undefined;
    const { content } = await this.registry.fetchManifest(this.repository, manifest, this.signal);
    const [layer] = content.kind === 'manifest' ? content.layers : [];
    if (!layer || 'fault' in layer || layer.mediaType !== PLAN_MEDIA_TYPE)
      throw new OtaError(
        'protocol',
        `${this.repository}:${PLAN_TAG} is not a plan: its layer is of type ${layer?.mediaType ?? 'none'}, expected ${PLAN_MEDIA_TYPE}. Replace it with otaflux plan push --force`,
      );
    if (layer.size > MAX_PLAN_BYTES)
      throw new OtaError(
        'protocol',
        `${this.repository}:${PLAN_TAG} has ${layer.size} bytes, more than the limit of ${MAX_PLAN_BYTES}. Push a smaller plan`,
      );
    const stream = await this.registry.fetchBlob(this.repository, layer, this.signal);
    return { text: Buffer.concat((await stream.toArray()) as Buffer[]).toString('utf8'), manifest };
  }

  /** Returns what the tag of the plan names now, or undefined if there is no such tag. */
  async current(): Promise<Descriptor | undefined> {
    try {
      return await this.registry.resolve(this.repository, PLAN_TAG, this.signal);
    } catch (error) {
      if (error instanceof OtaError && error.code === 'absent') return undefined;
      throw error;
    }
  }

  /**
   * Pushes a plan in place of `expected`, and returns its digest. The tag is moved last, after the signature was stored,
   * so the server never sees an unsigned plan. Rejects if the tag names something else by then, or afterwards.
   */
  async push(text: string, expected: Digest | undefined, signer: Signer | undefined): Promise<Digest> {
    const writer = await this.writer();
    const { descriptor, bytes } = await this.store(writer, text);
    if (signer) await this.sign(signer, descriptor);
    await this.demand(expected);
    await writer.writeManifest(this.repository, PLAN_TAG, descriptor, bytes, this.signal).catch((error: unknown) => {
      throw unfinished(
        error,
        'The plan in the registry was not changed, or the answer was lost. Run the command again',
      );
    });
    await this.readBack(descriptor.digest);
    return descriptor.digest;
  }

  /** Removes the tag of the plan. */
  async delete(): Promise<void> {
    await (await this.writer()).deleteTag(this.repository, PLAN_TAG, this.signal);
  }

  /**
   * Stores a plan without its tag. Some registries refuse the field `artifactType` (`protocol`), and get the older form.
   */
  private async store(writer: ArtifactWriter, text: string): Promise<PlanArtifact> {
    try {
      return await this.storeAs(writer, planArtifact(text)).catch(async (error: unknown) => {
        if (!(error instanceof OtaError) || error.code !== 'protocol') throw error;
        return this.storeAs(writer, planArtifact(text, 'config')).catch(() => {
          throw error;
        });
      });
    } catch (error) {
      throw unfinished(error, 'The plan in the registry was not changed');
    }
  }

  private async storeAs(writer: ArtifactWriter, artifact: PlanArtifact): Promise<PlanArtifact> {
    const { blobs, descriptor, bytes } = artifact;
    for (const blob of blobs) await writer.writeBlob(this.repository, blob, this.signal);
    await writer.writeManifest(this.repository, descriptor.digest, descriptor, bytes, this.signal);
    return artifact;
  }

  private async sign(signer: Signer, manifest: Descriptor): Promise<void> {
    try {
      await signer.sign(this.repository, manifest, this.signal);
    } catch (error) {
      throw unfinished(error, 'The plan was not signed, and the plan in the registry was not changed');
    }
  }

  private async demand(expected: Digest | undefined): Promise<void> {
    const now = await this.current();
    if (now?.digest !== expected) throw new OtaError('protocol', tooSlow(this.repository));
  }

  private async readBack(pushed: Digest): Promise<void> {
    await delay(SETTLE_MS);
    let now: Descriptor | undefined;
    try {
      now = await this.current();
    } catch (error) {
      throw unfinished(error, 'The plan was pushed, but could not be read back. Check it with otaflux plan show');
    }
    if (now?.digest === pushed) return;
    throw new OtaError(
      'protocol',
      `${this.repository}: another plan was pushed at the same time, and it has replaced yours. ${AGAIN}`,
    );
  }
}

const AGAIN = 'Run the command again to apply your change to it';

function tooSlow(repository: string): string {
  return `${repository}: the plan was changed in the meantime, so yours was not pushed. ${AGAIN}`;
}

function unfinished(error: unknown, state: string): unknown {
  if (!(error instanceof OtaError)) return error;
  return new OtaError(error.code, `${reasonOf(error).replace(/\.$/, '')}. ${state}`, { cause: error });
}
