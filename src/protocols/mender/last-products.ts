import type { Login } from './auth-request.js';

/** About 200 bytes each. */
const MAX_UNITS = 50_000;

/** The product that each device has asked for last. The one that was noted first is dropped first. */
export class LastProducts {
  private readonly products = new Map<string, string>();

  note(login: Login, product: string): void {
    const key = keyOf(login);
    if (this.products.get(key) === product) return;
    this.products.set(key, product);
    const [oldest] = this.products.keys();
    if (this.products.size > MAX_UNITS && oldest !== undefined) this.products.delete(oldest);
  }

  of(login: Login): string | undefined {
    return this.products.get(keyOf(login));
  }
}

function keyOf({ key, unit }: Login): string {
  return `${key} ${unit}`;
}
