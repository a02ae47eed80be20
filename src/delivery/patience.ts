import { OtaError } from '../errors.js';
import { after, type Timer } from '../timers.js';

/**
 * How long a device waits for a release that has to be fetched first. The reference ESP32 client gives up after 30 s.
 * The fetch continues, so that the release is there when the device returns.
 */
export const DEVICE_WAIT_MS = 20_000;

/**
 * Returns the result of `work`. Rejects with OtaError `unavailable` after `waitMs`; the work itself continues.
 *
 * @param who answers late, for the log
 */
export async function withPatience<T>(work: Promise<T>, waitMs = DEVICE_WAIT_MS, who = 'the registry'): Promise<T> {
  let timer: Timer | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = after(waitMs, () => {
      reject(
        new OtaError(
          'unavailable',
          `${who} has not answered within ${waitMs / 1000} s. The request goes on, and the device is answered when it asks again`,
        ),
      );
    });
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    timer?.stop();
  }
}
