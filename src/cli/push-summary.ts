import type { Settings } from '../config/index.js';
import { newestFirst } from '../firmware/select-version.js';
import { sizeText } from '../quantities.js';
import { wantsSignatures } from '../signature/create-verifier.js';
import { placeOf } from './sign/sign-options.js';
import type { PushResult } from './push.js';

/** What happened, and what happens next. The digest has a line of its own, for scripts. */
export function summaryOf(
  { pushed, newer, isPlanned, atOnce, signedBy }: PushResult,
  device: string,
  settings: Settings,
): string[] {
  const { repository, tag, version, digest, size, files, changed } = pushed;
  const others = files > 1 ? `, and ${files - 1} more ${files > 2 ? 'files' : 'file'}` : '';
  const place = `${placeOf(settings)}${repository}`;
  const lines = [
    `${changed ? 'Pushed' : 'Already there:'} ${place}:${tag} (${sizeText(size)}${others})`,
    `Digest: ${digest}`,
  ];
  const mustBeSigned = wantsSignatures(settings) && signedBy === undefined;
  const asking = `Devices that ask for "${device}"`;
  const ignored = newestFirst([tag], settings).length === 0;
  if (ignored) {
    const why = version.includes('-') && !settings.prereleases ? '--no-prereleases is set' : '--min-version is newer';
    lines.push(`${asking} do not get it, because ${why}.`);
    return lines;
  }
  if (signedBy !== undefined) lines.push(`Signed with ${signedBy}.`);
  if (atOnce.length > 0)
    lines.push(
      `The plan of ${device} has no rollout of ${version} for ${atOnce.join(', ')}, so all units there are offered it at once. To offer it in stages, run otaflux rollout start before the push.`,
    );
  else if (isPlanned)
    lines.push(`The plan of ${device} decides which units get it. See otaflux rollout start, and otaflux why.`);
  else if (newer !== undefined) lines.push(`${asking} keep getting ${newer}, which is newer.`);
  else lines.push(mustBeSigned ? `${asking} get it once it is signed.` : `${asking} get it.`);
  if (mustBeSigned && settings.registryUrl.kind === 'http') lines.push(`Sign it: cosign sign ${place}@${digest}`);
  else if (mustBeSigned) lines.push('Sign it: see https://github.com/otaflux/otaflux/blob/main/docs/signing.md');
  if (version.includes('-')) lines.push('It is a pre-release: servers with --no-prereleases do not offer it.');
  return lines;
}
