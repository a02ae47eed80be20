import { Option as Flag, type Command } from 'commander';
import type { Settings } from '../../config/index.js';
import { ConfigError } from '../../errors.js';
import type { ArtifactWriter, Registry } from '../../registry/index.js';
import type { Signer, SignForm } from './manifest-signer.js';

/** The flags that say how a manifest is signed. */
export interface SignOptions {
  readonly signKey?: string;
  readonly signForm?: SignForm;
  readonly sign?: string;
}

/** Adds the options of signing to a command that pushes. */
export function withSigning<C extends Command>(command: C): C {
  return command
    .option(
      '--sign-key <path>',
      'Sign what is pushed with this private key: a PEM file, or a key of cosign, whose password is in COSIGN_PASSWORD.',
    )
    .addOption(
      new Flag(
        '--sign-form <form>',
        'Form of the signature: bundle (cosign v3), legacy (cosign v2). Default: bundle.',
      ).choices(['bundle', 'legacy']),
    )
    .option(
      '--sign <cosign[:args]>',
      'Sign what is pushed by calling cosign, with arguments behind a colon: "cosign:--key azurekms://…".',
    );
}

/** Returns what signs, or undefined without the options. Rejects with ConfigError if they are wrong, before any request. */
export async function signerOf(
  { signKey, signForm, sign }: SignOptions,
  settings: Settings,
  registry: Registry,
  writer: () => Promise<ArtifactWriter>,
): Promise<Signer | undefined> {
  if (signKey !== undefined && sign !== undefined) throw new ConfigError('--sign and --sign-key: expected one of them');
  if (signForm !== undefined && signKey === undefined)
    throw new ConfigError('--sign-form: it belongs to --sign-key, which is missing');
  if (sign !== undefined) {
    const [program, rest] = split(sign);
    if (program !== 'cosign')
      throw new ConfigError(`--sign: got ${JSON.stringify(sign)}, expected cosign or cosign:ARGUMENTS`);
    if (settings.registryUrl.kind !== 'http')
      throw new ConfigError('--sign: cosign signs in registries, and this is a folder. Use --sign-key');
    const { CosignProgram } = await import('./cosign-program.js');
    return new CosignProgram(rest.split(/\s+/).filter(Boolean), (repository) => placeOf(settings) + repository);
  }
  if (signKey === undefined) return undefined;
  const [{ readSigningKey }, { ManifestSigner }] = await Promise.all([
    import('./private-key.js'),
    import('./manifest-signer.js'),
  ]);
  const key = await readSigningKey(signKey);
  return new ManifestSigner(
    registry,
    await writer(),
    key,
    signForm ?? 'bundle',
    signKey,
    (repository) => placeOf(settings) + repository,
  );
}

function split(text: string): [string, string] {
  const colon = text.indexOf(':');
  return colon === -1 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)];
}

/** Where repositories are, as other tools write it: `harbor.example.com/`. */
export function placeOf({ registryUrl }: Settings): string {
  if (registryUrl.kind === 'layout') return `oci:${registryUrl.directory.replace(/\/+$/, '')}/`;
  return registryUrl.path ? `${registryUrl.host}/${registryUrl.path}/` : `${registryUrl.host}/`;
}
