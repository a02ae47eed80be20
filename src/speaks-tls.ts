import { connect } from 'node:tls';
import { link } from './abort.js';

/** A TLS server answers a handshake within a round trip. The caller waits for an error message. */
const PATIENCE_MS = 1_000;

/**
 * Returns whether the server at this host and port (default: 80) completes a TLS handshake, with any certificate. Sends no
 * request.
 */
export async function speaksTls(
  { hostname, port }: Pick<URL, 'hostname' | 'port'>,
  signal: AbortSignal,
): Promise<boolean> {
  const deadline = link([signal], PATIENCE_MS);
  const host = hostname.replace(/^\[|\]$/g, '');
  try {
    return await new Promise((resolve) => {
      const answer = (speaks: boolean): void => {
        socket.destroy();
        resolve(speaks);
      };
      const socket = connect({ host, port: Number(port || 80), rejectUnauthorized: false });
      socket
        .once('secureConnect', () => {
          answer(true);
        })
        .once('error', () => {
          answer(false);
        })
        .once('close', () => {
          resolve(false);
        });
      deadline.signal.addEventListener('abort', () => {
        answer(false);
      });
      if (deadline.signal.aborted) answer(false);
    });
  } finally {
    deadline.end();
  }
}
