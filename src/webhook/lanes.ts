/** A task that waits for its turn. */
type Task = () => Promise<void>;

/**
 * Runs tasks in two lanes: important ones first, and the rest, which never takes all places. So made-up names on a slow
 * registry do not delay known devices.
 */
export class Lanes {
  private readonly first: Task[] = [];
  private readonly rest: Task[] = [];
  private running = 0;
  private restRunning = 0;

  /** @param places number of concurrent tasks @param restPlaces how many of them the rest may use */
  constructor(
    private readonly places: number,
    private readonly restPlaces: number,
  ) {}

  /** @param task must not reject */
  run(goesFirst: boolean, task: Task): void {
    (goesFirst ? this.first : this.rest).push(task);
    this.next();
  }

  private next(): void {
    while (this.running < this.places) {
      const isFirst = this.first.length > 0;
      if (!isFirst && this.restRunning >= this.restPlaces) return;
      const task = isFirst ? this.first.shift() : this.rest.shift();
      if (!task) return;
      this.running++;
      if (!isFirst) this.restRunning++;
      void task().finally(() => {
        this.running--;
        if (!isFirst) this.restRunning--;
        this.next();
      });
    }
  }
}
