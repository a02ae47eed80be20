// Runs in a pod: devices that ask and download for 45 seconds; prints how often each thing came of it.
const http = require('node:http');

const BYTES = 8_000_000;
const STEP = 200_000;

const results = {};
const count = (result) => {
  results[result] = (results[result] ?? 0) + 1;
};

/** Each request on a connection of its own, as from a device that was asleep. */
function get(path, answer) {
  return new Promise((resolve) => {
    const options = { host: 'ota-otaflux', path, agent: false, timeout: 20_000 };
    const request = http.get(options, (response) => answer(response, resolve));
    request.on('timeout', () => request.destroy(new Error(`timeout of ${path}`)));
    request.on('error', (error) => resolve(error.code ?? error.message));
  });
}

const ask = () =>
  get('/version?device=esp32', (response, resolve) => {
    response.resume().on('end', () => resolve(response.statusCode));
  });

/** In forty steps of half a second: longer than two rollouts. */
const download = () =>
  get('/firmware?device=esp32', (response, resolve) => {
    let bytes = 0;
    response.on('data', (piece) => {
      const step = Math.floor(bytes / STEP);
      bytes += piece.length;
      if (Math.floor(bytes / STEP) === step) return;
      response.pause();
      setTimeout(() => response.resume(), 500);
    });
    response.on('end', () => resolve(bytes === BYTES ? 'downloaded' : `cut at ${bytes}`));
    response.on('error', (error) => resolve(error.code ?? error.message));
  });

async function poll(endsAt) {
  while (Date.now() < endsAt) {
    count(await ask());
    // Many connections from one address would be sent to pods that have ended: conntrack remembers ports.
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const endsAt = Date.now() + 45_000;
const four = Array.from({ length: 4 });
Promise.all([...four.map(() => poll(endsAt)), ...four.map(async () => count(await download()))]).then(() =>
  console.log(JSON.stringify(results)),
);
