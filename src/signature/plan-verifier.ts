import type { Observable } from 'rxjs';
import type { Descriptor } from '../oci/index.js';
import type { Registry } from '../registry/index.js';
import { SignatureVerifier, type Signer, type Verification } from './signature-verifier.js';

/** Decides whether a plan may be taken: by the keys of plans, otherwise as for firmware. */
export class PlanVerifier extends SignatureVerifier {
  private readonly verifier: SignatureVerifier;

  /**
   * @param firmware the verifier for firmware
   * @param own the verifier for plans, if they have keys of their own
   */
  constructor(
    firmware: SignatureVerifier,
    private readonly own?: SignatureVerifier,
  ) {
    super();
    this.verifier = own ?? firmware;
  }

  /** Whether plans have keys of their own, whose changes are emitted by `changes` only. */
  get isSeparate(): boolean {
    return this.own !== undefined;
  }

  override verify(
    repository: string,
    manifest: Descriptor,
    signal: AbortSignal,
    registry?: Registry,
  ): Promise<Verification> {
    return this.verifier.verify(repository, manifest, signal, registry);
  }

  override stillTrusts(repository: string, signer: Signer | undefined): boolean {
    return this.verifier.stillTrusts(repository, signer);
  }

  override get changes(): Observable<void> {
    return this.verifier.changes;
  }
}
