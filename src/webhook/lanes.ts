/** Work that waits for its turn. */
type Task = () => Promise<void>;

/**
 * Runs work of two kinds: what goes first, and the rest, which never takes all places. So a registry that hangs over
 * made-up names does not hold up a device that is known.
 */
export class Lanes {
  private readonly first: Task[] = [];
  private readonly rest: Task[] = [];
  private running = 0;
  private restRunning = 0;

  /** @param places for all work @param restPlaces how many of them the rest may take */
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
