import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Authority } from '../support/authority.js';
import { inFile, outcomeOf } from './programs.js';

/** What nginx says of a part of its configuration, whose certificates and hosts are made up. */
export async function nginxProblems(text: string): Promise<string[]> {
  return inFile('nginx.conf', '', (path, folder) => {
    const { cert, key } = new Authority(folder, 'ca').issue('nginx');
    const substituted = text
      .replaceAll(/[\w./-]+\.(?:crt|pem)\b/g, cert)
      .replaceAll(/[\w./-]+\.key\b/g, key)
      .replaceAll(/(proxy_pass +https?:\/\/|^\s*server +)[\w.-]+/gm, '$1127.0.0.1');
    writeFileSync(path, whole(substituted, folder));
    return outcomeOf('nginx', ['-t', '-q', '-p', folder, '-e', join(folder, 'error.log'), '-c', path]);
  });
}

/** The part at the place where it belongs: directives of a server, a server, or all of it. */
function whole(text: string, folder: string): string {
  if (/^\s*http\s*{/m.test(text)) return text;
  const server = /^\s*(?:server|upstream)\b.*{/m.test(text) ? text : `server {\n listen 127.0.0.1:8081;\n${text}}\n`;
  return `pid ${folder}/nginx.pid;\nevents {}\nhttp {\n${server}}\n`;
}
