/** The yardstick: what bare node:http does with the same bytes and headers, and nothing else. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const { version, firmware } = JSON.parse(process.argv[2]);
const bytes = readFileSync(firmware);

const versionHeaders = ['Content-Type', 'text/plain; charset=utf-8', 'Content-Length', String(version.length)];
const firmwareHeaders = [
  ...['Content-Type', 'application/octet-stream', 'Content-Length', String(bytes.length)],
  ...['ETag', `"${'0'.repeat(32)}"`, 'Last-Modified', new Date().toUTCString(), 'Accept-Ranges', 'bytes'],
];

const server = createServer((request, response) => {
  if (request.url.startsWith('/version')) response.writeHead(200, versionHeaders).end(version, 'latin1');
  else response.writeHead(200, firmwareHeaders).end(bytes);
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ address: `127.0.0.1:${server.address().port}` })));
