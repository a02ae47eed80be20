// Preloaded into a server under test (NODE_OPTIONS=--import=…): its wall clock is moved by whole milliseconds, which the
// test writes to the socket TEST_CLOCK, a number to a line. Each line is answered when the clock shows the new time.
import { createServer } from 'node:net';

const path = process.env.TEST_CLOCK;
if (path) {
  const systemNow = Date.now.bind(Date);
  let movedMs = Number(process.env.TEST_CLOCK_MOVED ?? 0);
  Date.now = () => systemNow() + movedMs;
  const server = createServer((socket) => {
    socket.setEncoding('utf8').on('data', (text) => {
      movedMs = Number(text.trim().split('\n').at(-1));
      socket.write('moved\n');
    });
    socket.on('error', () => undefined);
  });
  server.listen(path).unref();
}
