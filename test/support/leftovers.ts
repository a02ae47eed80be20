/** What a test started and, because it failed, did not stop: ended behind each file, so that a red run ends, too. */
const started = new Map<object, () => unknown>();

export function expectStop(what: object, stop: () => unknown): void {
  started.set(what, stop);
}

export function stopped(what: object): void {
  started.delete(what);
}

export async function stopLeftovers(): Promise<void> {
  for (const stop of [...started.values()]) await stop();
  started.clear();
}
