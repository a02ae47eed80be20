/** CPU time of this process in milliseconds: other programs that keep the machine busy do not count. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/** The CPU time that `work` took, in milliseconds. */
export function cpuTimeMs(work: () => void): number {
  const before = cpuMs();
  work();
  return cpuMs() - before;
}

/** The most CPU time that one turn of the event loop took while `work` ran, in milliseconds: for so long nobody else was served. */
export async function busiestTurnMs(work: () => Promise<unknown>): Promise<number> {
  let busiest = 0;
  let isOver = false;
  let last = cpuMs();
  const look = (): void => {
    const now = cpuMs();
    busiest = Math.max(busiest, now - last);
    last = now;
    if (!isOver) setImmediate(look);
  };
  setImmediate(look);
  await work();
  isOver = true;
  await new Promise(setImmediate);
  return busiest;
}
