import { Logger } from '@nestjs/common';
import { OtaError, reasonOf } from '../errors.js';
import { inlineContent, readable, type Descriptor, type Digest, type Manifest } from '../oci/index.js';
import { parsePlan, PLAN_ARTIFACT_TYPE, PLAN_MEDIA_TYPE, PLAN_TAG, type Plan } from '../plan/index.js';
import type { FetchedManifest, Registry } from '../registry/index.js';
import type { PlanVerifier, Signer } from '../signature/index.js';
import { layersOf } from './firmware-locator.js';
import { ParsedPlans } from './parsed-plans.js';
import { PlanRefused } from './plan-refused.js';
import type { Search } from './search.js';

/** A plan that was verified, and where it came from. */
export interface PlanInForce {
  readonly plan: Plan;
  readonly manifestDigest: Digest;
  /** Digest of the YAML. Signing or pushing the same plan again does not change it. */
  readonly digest: Digest;
  readonly signer: Signer | undefined;
}

/** The highest serial that was seen of a product's plans, and the plan that had it. */
export interface SeenPlan {
  readonly serial: number;
  readonly digest: string;
}

/** A plan for thousands of rules has some ten kilobytes. */
const MAX_PLAN_BYTES = 256 * 1024;
/** Refusals that are remembered and logged once. The oldest is dropped first. */
const MAX_REFUSALS = 10_000;

interface Refusal {
  readonly error: PlanRefused;
  /** On the clock of `performance.now()`. */
  readonly untilMs: number;
}

/** Finds the plan of a product in its repository. */
export class PlanFinder {
  private readonly logger = new Logger('PlanFinder');
  private readonly refusals = new Map<string, Refusal>();
  private readonly parsed = new ParsedPlans();

  constructor(
    private readonly verifier: PlanVerifier,
    private readonly repositoryOf: (product: string) => string,
    /** How long a missing signature is not looked for again, in milliseconds. */
    private readonly untrustedMs: number,
    /** Whether a plan must name its product. */
    private readonly mustNameProduct: boolean,
  ) {}

  /**
   * Returns the plan that the tag names now. Returns `known` itself if it is the same, which costs one HEAD. Rejects with
   * PlanRefused if the plan must not be taken, and with another OtaError if the registry cannot say.
   */
  async find(
    product: string,
    known: PlanInForce | undefined,
    seen: SeenPlan | undefined,
    search: Search,
  ): Promise<PlanInForce> {
    const repository = this.repositoryOf(product);
    const registry = search.part(PLAN_TAG);
    let key = `${repository}@`;
    try {
      const manifest = await this.registrySays(product, registry.resolve(repository, PLAN_TAG, search.signal));
      if (!search.again && known?.manifestDigest === manifest.digest && this.stillTrusts(product, known)) return known;
      key += manifest.digest;
      const before = this.refusals.get(key);
      if (before && !search.again && performance.now() < before.untilMs) throw before.error;
      const found = await this.read(product, manifest, registry, search.signal);
      refuseOld(found, seen);
      this.refusals.delete(key);
      return known?.manifestDigest === found.manifestDigest && known.signer?.name === found.signer?.name
        ? known
        : found;
    } catch (error) {
      if (error instanceof PlanRefused) this.note(product, key, error, seen);
      throw error;
    }
  }

  /** Returns whether the signer of a plan is still trusted. Sends no request. */
  stillTrusts(product: string, { signer }: PlanInForce): boolean {
    return this.verifier.stillTrusts(this.repositoryOf(product), signer);
  }

  /** Returns whether the registry still has the tag, although its list of tags lacks it. Rejects with OtaError. */
  async isThere(product: string, search: Search): Promise<boolean> {
    try {
      await search.part(PLAN_TAG).resolve(this.repositoryOf(product), PLAN_TAG, search.signal);
      return true;
    } catch (error) {
      if (error instanceof OtaError && error.code === 'absent') return false;
      throw error;
    }
  }

  /** Forgets which plans had no valid signature, so that they are verified again: those of one product, or all. */
  verifyAnew(product?: string): void {
    const prefix = product === undefined ? '' : `${this.repositoryOf(product)}@`;
    for (const [key, { error }] of this.refusals)
      if (key.startsWith(prefix) && error.code === 'untrusted') this.refusals.set(key, { error, untilMs: -Infinity });
  }

  private async read(
    product: string,
    manifest: Descriptor,
    registry: Registry,
    signal: AbortSignal,
  ): Promise<PlanInForce> {
    const repository = this.repositoryOf(product);
    const layer = layerOf(
      await this.registrySays(product, registry.fetchManifest(repository, manifest, signal), manifest.digest),
    );
    const verdict = await this.verifier.verify(repository, manifest, signal, registry);
    if (!verdict.trusted) throw new PlanRefused('untrusted', `${verdict.code}: ${verdict.reason}`, manifest.digest);
    const bytes = await this.registrySays(product, contentOf(registry, repository, layer, signal), manifest.digest);
    const plan = this.parse(bytes, layer.digest, manifest.digest);
    this.demandProduct(plan, product, verdict.signer, manifest.digest);
    return { plan, manifestDigest: manifest.digest, digest: layer.digest, signer: verdict.signer };
  }

  private parse(bytes: Buffer, digest: Digest, manifestDigest: Digest): Plan {
    try {
      return this.parsed.of(digest, () => parsePlan(bytes.toString('utf8')));
    } catch (error) {
      throw new PlanRefused('protocol', `${reasonOf(error)}. Correct the plan, and push it again`, manifestDigest, {
        cause: error,
      });
    }
  }

  /** A signature covers the digest of a plan only: the plan of one product could be copied to another. */
  private demandProduct({ product: stated }: Plan, product: string, signer: Signer | undefined, digest: Digest): void {
    if (stated === product || (stated === undefined && !(this.mustNameProduct && signer))) return;
    const found = stated === undefined ? 'names no product' : `is for the product ${JSON.stringify(stated)}`;
    throw new PlanRefused(
      'untrusted',
      `wrong-product: the plan ${found}, expected product: ${product}. Push the plan of ${product}, with product: ${product} in it`,
      digest,
    );
  }

  /** Returns the answer of the registry. What it lists but does not have, or what is no manifest, is a refused plan. */
  private async registrySays<T>(product: string, answer: Promise<T>, digest?: Digest): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      if (!(error instanceof OtaError) || (error.code !== 'absent' && error.code !== 'protocol')) throw error;
      throw new PlanRefused(
        'protocol',
        `the plan cannot be read: ${error.message}. Push the plan of ${product} again`,
        digest,
        { cause: error },
      );
    }
  }

  /** Remembers a refusal, and logs it once. What the registry answered may be better next time. */
  private note(product: string, key: string, error: PlanRefused, seen: SeenPlan | undefined): void {
    const before = this.refusals.get(key);
    if (before?.error === error) return;
    const isPassing = error.code === 'protocol' && error.cause instanceof OtaError;
    const memoryMs = isPassing ? 0 : error.code === 'untrusted' ? this.untrustedMs : Infinity;
    this.refusals.delete(key);
    this.refusals.set(key, { error, untilMs: performance.now() + memoryMs });
    const oldest = this.refusals.size > MAX_REFUSALS ? this.refusals.keys().next().value : undefined;
    if (oldest !== undefined) this.refusals.delete(oldest);
    if (before) return;
    this.logger.error({
      event: 'plan.rejected',
      device: product,
      digest: error.digest,
      code: error.code,
      serial: seen?.serial,
      reason: error.message,
    });
  }
}

/** Throws PlanRefused if `found` is older than a plan that was seen before, or has its serial and other content. */
function refuseOld({ plan, digest, manifestDigest }: PlanInForce, seen: SeenPlan | undefined): void {
  if (!seen || plan.serial > seen.serial || (plan.serial === seen.serial && digest === seen.digest)) return;
  const what =
    plan.serial === seen.serial
      ? `its serial is ${plan.serial}, and another plan had this serial`
      : `its serial is ${plan.serial}, and a plan with serial ${seen.serial} was seen before`;
  throw new PlanRefused('protocol', `${what}. Push the plan with serial ${seen.serial + 1} or higher`, manifestDigest);
}

/** Returns the only layer of a plan. */
function layerOf({ descriptor: { digest }, content }: FetchedManifest): Descriptor {
  const refused = (found: string, expected: string): PlanRefused =>
    new PlanRefused('protocol', `the artifact ${found}, expected ${expected}. Push it with otaflux plan push`, digest);
  if (content.kind !== 'manifest') throw refused('is an index', 'a manifest');
  const type = artifactTypeOf(content);
  if (type !== PLAN_ARTIFACT_TYPE)
    throw refused(`has the artifact type ${JSON.stringify(type ?? '')}`, PLAN_ARTIFACT_TYPE);
  const layers = layersOf(content);
  const [only] = layers;
  if (!only || layers.length > 1) throw refused(`has ${layers.length} layers`, 'one');
  if (only.mediaType !== PLAN_MEDIA_TYPE)
    throw refused(`has a layer of type ${JSON.stringify(only.mediaType)}`, PLAN_MEDIA_TYPE);
  if ('fault' in only) throw refused(`has a layer that cannot be read: ${only.fault}`, 'a descriptor');
  if (only.size > MAX_PLAN_BYTES) throw refused(`has ${only.size} bytes`, `at most ${MAX_PLAN_BYTES}`);
  return readable(only);
}

/** Registries and tools before OCI 1.1 know no `artifactType`, and state it as the type of the config. */
function artifactTypeOf({ artifactType, config }: Manifest): string | undefined {
  return artifactType ?? config?.mediaType;
}

async function contentOf(
  registry: Registry,
  repository: string,
  layer: Descriptor,
  signal: AbortSignal,
): Promise<Buffer> {
  const inline = inlineContent(layer);
  if (inline) return inline;
  return Buffer.concat((await (await registry.fetchBlob(repository, layer, signal)).toArray()) as Buffer[]);
}
