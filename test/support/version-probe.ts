import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** Runs in a thread of its own, so that a busy test does not count. */
const PROBE = `
const { parentPort, workerData } = require('node:worker_threads');
const { Agent, request } = require('node:http');
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const times = [];
let isOver = false;
parentPort.once('message', () => (isOver = true));
const ask = () => {
  const beginMs = performance.now();
  request({ agent, host: '127.0.0.1', port: workerData.port, path: workerData.path }, (answer) => {
    answer.resume().once('end', () => {
      times.push(performance.now() - beginMs);
      if (!isOver) return setTimeout(ask, workerData.everyMs);
      agent.destroy();
      parentPort.postMessage(times);
    });
  }).end();
};
ask();
`;

/** Asks one path again and again while something else goes on. Resolves to the durations of all answers, in milliseconds, sorted. */
export async function probed(port: number, path: string, work: () => Promise<unknown>): Promise<readonly number[]> {
  const worker = new Worker(PROBE, { eval: true, workerData: { port, path, everyMs: 5 } });
  try {
    await Promise.race([work(), once(worker, 'error').then(([error]) => Promise.reject(error as Error))]);
    const answered = once(worker, 'message');
    worker.postMessage('stop');
    const [times] = (await answered) as [number[]];
    return times.sort((a, b) => a - b);
  } finally {
    await worker.terminate();
  }
}
