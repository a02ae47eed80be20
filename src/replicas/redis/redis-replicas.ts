import { filter, map, type Observable } from 'rxjs';
import { Replicas } from '../replicas.js';
import { CLAIM, RELEASE } from './claim-scripts.js';
import type { RedisLink } from '../redis-connection.js';

const HINT = 'hint';
const MAX_PRODUCT = 255;

/** Hints over a channel of Redis, claims as keys that expire. */
export class RedisReplicas extends Replicas {
  override readonly isShared = true;
  override readonly hints: Observable<string>;

  constructor(private readonly link: RedisLink) {
    super();
    this.hints = link.news.pipe(
      filter(({ topic, text }) => topic === HINT && text.length > 0 && text.length <= MAX_PRODUCT),
      map(({ text }) => text),
    );
  }

  override hint(product: string): void {
    this.link.tell(HINT, product);
  }

  override async claim(key: string, ttlMs: number): Promise<boolean> {
    const { replica } = this.link;
    try {
      return (await this.link.script(CLAIM, [this.nameOf(key, 'claim')], [replica, Math.ceil(ttlMs)])) === replica;
    } catch {
      return true;
    }
  }

  override async release(key: string): Promise<void> {
    await this.link.script(RELEASE, [this.nameOf(key, 'claim')], [this.link.replica]).catch(() => undefined);
  }

  override async note(key: string, text: string, ttlMs: number): Promise<void> {
    await this.link.call('SET', this.nameOf(key, 'note'), text, 'PX', Math.ceil(ttlMs)).catch(() => undefined);
  }

  override async noted(key: string): Promise<string | undefined> {
    const text = await this.link.call('GET', this.nameOf(key, 'note')).catch(() => undefined);
    return typeof text === 'string' ? text : undefined;
  }

  private nameOf(key: string, name: string): string {
    return this.link.key(key.replaceAll(/[{}]/g, '_'), name);
  }
}
