/** The codes by which Node.js, OpenSSL and undici report errors, in words that complete "cannot read X: …". */
const WORDS: Readonly<Record<string, string | undefined>> = {
  // Files.
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EISDIR: 'it is a directory, not a file',
  ENOTDIR: 'a part of the path is a file, not a directory',
  EEXIST: 'a file of this name exists',
  ENOTEMPTY: 'the directory is not empty',
  ELOOP: 'too many symbolic links',
  ENAMETOOLONG: 'the name is too long',
  ENOSPC: 'no space left on the disk',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the file system is read-only',
  EMFILE: 'too many open files',
  ENFILE: 'too many open files',
  EIO: 'the disk reports an I/O error',
  EFBIG: 'the file is too large for the file system',
  ESTALE: 'the network file system has dropped the file',
  ERR_FS_FILE_TOO_LARGE: 'the file is larger than 2 GiB',
  // Listening.
  EADDRINUSE: 'the port is already in use',
  EADDRNOTAVAIL: 'this machine does not have the address',
  // Connections.
  ENOTFOUND: 'unknown host',
  EAI_AGAIN: 'the DNS server does not answer',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was reset',
  ECONNABORTED: 'the connection was aborted',
  EPIPE: 'the connection was closed',
  ETIMEDOUT: 'no connection within the time limit',
  EHOSTUNREACH: 'no route to the host',
  EHOSTDOWN: 'the host is down',
  ENETUNREACH: 'the network is unreachable',
  ENETDOWN: 'the network is down',
  UND_ERR_CONNECT_TIMEOUT: 'no connection within the time limit',
  UND_ERR_HEADERS_TIMEOUT: 'no answer within the time limit',
  UND_ERR_BODY_TIMEOUT: 'the answer stopped before its end',
  UND_ERR_SOCKET: 'the server closed the connection',
  UND_ERR_CLOSED: 'the connection was closed',
  UND_ERR_DESTROYED: 'the connection was closed',
  UND_ERR_HEADERS_OVERFLOW: 'the headers of the answer are too long',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'the answer is shorter or longer than its Content-Length',
  // Certificates (X509_verify_cert_error_string of OpenSSL, by the names that Node.js gives).
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is from an unknown authority',
  UNABLE_TO_GET_ISSUER_CERT: 'its certificate is from an unknown authority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is from an unknown authority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is from an unknown authority',
  CERT_UNTRUSTED: 'its certificate is from an unknown authority',
  CERT_SIGNATURE_FAILURE: 'its certificate is not signed by the authority that it names',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  CERT_REVOKED: 'its certificate is revoked',
  CERT_REJECTED: 'its certificate is not accepted',
  INVALID_CA: 'its certificate is from an authority that may not issue certificates',
  INVALID_PURPOSE: 'its certificate is not for this purpose',
  PATH_LENGTH_EXCEEDED: 'its certificate chain is too long',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host name',
  // TLS.
  EPROTO: 'the TLS handshake failed',
  ERR_SSL_WRONG_VERSION_NUMBER: 'the server does not speak TLS',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'the server does not speak TLS',
  ERR_SSL_HTTP_REQUEST: 'the client does not speak TLS',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'no TLS version in common',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'no TLS version in common',
  ERR_SSL_NO_CIPHERS_AVAILABLE: 'no TLS cipher in common',
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: 'the server refused the TLS handshake',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'the server demands a client certificate',
};

/** Codes that differ between versions of OpenSSL and llhttp, by how they begin. */
const WORDS_BY_PREFIX: readonly (readonly [string, string])[] = [
  ['ERR_SSL_', 'the TLS handshake failed'],
  ['HPE_', 'the answer is not HTTP'],
];

const CERTIFICATE = /^(?:CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|INVALID_CA$|INVALID_PURPOSE$|ERR_TLS_CERT_)/;
const NOT_TLS = ['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG'];

/** Returns whether the code is about the certificate of the server, or that of the authority that issued it. */
export function isAboutCertificate(code: string): boolean {
  return CERTIFICATE.test(code);
}

/** Returns whether a server answered a TLS handshake with something else. */
export function isNotTls(code: string): boolean {
  return NOT_TLS.includes(code);
}

/** Returns whether a TLS handshake failed, for another reason than the certificate of the server. */
export function isAboutTls(code: string): boolean {
  return /^(?:ERR_SSL_|EPROTO$)/.test(code);
}

/** What the error code `code` means, in a few words; undefined for a code that is not in the list. */
export function wordsFor(code: string): string | undefined {
  if (Object.hasOwn(WORDS, code)) return WORDS[code];
  return WORDS_BY_PREFIX.find(([prefix]) => code.startsWith(prefix))?.[1];
}
