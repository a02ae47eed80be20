import { spawn } from 'node:child_process';
import type { Descriptor } from '../../oci/index.js';
import { ConfigError, OtaError, codeOf, reasonOf } from '../../errors.js';
import type { Signer } from './manifest-signer.js';

/** Signs by calling `cosign sign`, with the arguments that were given behind `--sign cosign:`. */
export class CosignProgram implements Signer {
  readonly name = 'cosign';

  constructor(
    private readonly args: readonly string[],
    /** Returns the name of a repository for other programs: `harbor.example.com/esp32`. */
    private readonly placeOf: (repository: string) => string,
  ) {}

  async sign(repository: string, { digest }: Descriptor, signal: AbortSignal): Promise<void> {
    const args = ['sign', '--yes', ...this.args, `${this.placeOf(repository)}@${digest}`];
    // Its standard output is ours: the result of the command must stay alone there.
    const child = spawn('cosign', args, { stdio: ['inherit', 2, 'inherit'], signal });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject).once('close', resolve);
    }).catch((error: unknown) => {
      throw codeOf(error) === 'ENOENT'
        ? new ConfigError('--sign: there is no program cosign on the PATH. Install it, or use --sign-key')
        : new OtaError('unavailable', `cosign cannot be run: ${reasonOf(error)}`, { cause: error });
    });
    if (code !== 0) throw new OtaError('protocol', `cosign ended with code ${code ?? 'none'}, see its lines above`);
  }
}
