type Products<T> = Map<string, Map<string, Map<string, T>>>;

/**
 * What is remembered of the units that asked last, each about a release. The release and the product are texts that live
 * long; only the text of the unit is new with every request, so they are not joined to one key, which would have to be
 * hashed as a whole.
 */
export class RecentUnits<T> {
  private young: Products<T> = new Map();
  private old: Products<T> = new Map();
  private count = 0;

  /** @param max between one and two times as many values are kept, those that were set last */
  constructor(private readonly max: number) {}

  get(release: string, product: string, unit: string): T | undefined {
    return this.young.get(release)?.get(product)?.get(unit) ?? this.old.get(release)?.get(product)?.get(unit);
  }

  /** Sets a value that is not there, or replaces it. */
  set(release: string, product: string, unit: string, value: T): void {
    if (this.count >= this.max) {
      this.old = this.young;
      this.young = new Map();
      this.count = 0;
    }
    let products = this.young.get(release);
    if (!products) this.young.set(release, (products = new Map<string, Map<string, T>>()));
    let units = products.get(product);
    if (!units) products.set(product, (units = new Map<string, T>()));
    units.set(unit, value);
    this.count++;
  }
}
