import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';

/** As much of S3 as reading takes: objects of one bucket, for requests that are signed (AWS Signature Version 4). */
export class S3Server {
  private server: Server | undefined;
  readonly keys: string[] = [];

  /** @param folder what `aws s3 sync` would have copied */
  constructor(private readonly folder: string) {}

  async start(): Promise<string> {
    this.server = createServer(({ url = '/', headers }, response) => {
      const key = decodeURIComponent(url.slice(1));
      this.keys.push(key);
      if (!headers.authorization?.startsWith('AWS4-HMAC-SHA256 Credential=key-id/')) response.writeHead(403).end();
      else if (key === '') response.end('<ListBucketResult/>');
      else {
        try {
          response.end(readFileSync(join(this.folder, normalize(`/${key}`))));
        } catch {
          response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>');
        }
      }
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => this.server?.once('listening', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server?.closeAllConnections();
    await new Promise((resolve) => this.server?.close(resolve));
  }
}
