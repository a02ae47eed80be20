import { filter, map, type Observable } from 'rxjs';
import { Replicas } from '../replicas.js';
import type { RedisLink, RedisScript } from './redis-link.js';

const HINT = 'hint';
const MAX_PRODUCT = 255;
const DONE = 'done';

const CLAIM: RedisScript = {
  name: 'otafluxClaim',
  keys: 1,
  lua: `
local held = redis.call('GET', KEYS[1])
if held then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]`,
};

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
      return (await this.link.script(CLAIM, [this.nameOf(key)], [replica, Math.ceil(ttlMs)])) === replica;
    } catch {
      return true;
    }
  }

  override async done(key: string, ttlMs: number): Promise<void> {
    await this.link.call('SET', this.nameOf(key), DONE, 'PX', Math.ceil(ttlMs)).catch(() => undefined);
  }

  override async isDone(key: string): Promise<boolean> {
    return (await this.link.call('GET', this.nameOf(key)).catch(() => undefined)) === DONE;
  }

  private nameOf(key: string): string {
    return this.link.key(key.replaceAll(/[{}]/g, '_'), 'claim');
  }
}
