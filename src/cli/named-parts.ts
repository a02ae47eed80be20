import type { Type } from '@nestjs/common';
import type { OwnParts } from '../app.module.js';
import { ConfigError, reasonOf } from '../errors.js';
import { nameOfPart, PORTS, problemOfObject, type Port } from './plugin-parts.js';

/** An entry of a plug-in, with its name in messages. */
interface Entry {
  readonly plugin: string;
  readonly key: keyof OwnParts;
  readonly what: string;
}

/** Makes errors of parts name the plug-in and the part. One for all plug-ins, because names must differ between them. */
export class NamedParts {
  /** The parts that have a name, by port and name. */
  private readonly owners = new Map<string, { readonly plugin: string; readonly part: object }>();

  /**
   * Returns `parts`, in which each class is replaced by one that makes the same objects. It checks them, and an error of
   * the constructor names the plug-in and the part.
   */
  of(plugin: string, parts: OwnParts): OwnParts {
    const named = (Object.entries(parts) as [keyof OwnParts, unknown][]).map(([key, part]) => {
      const one = (value: unknown, index?: number): unknown =>
        this.named({ plugin, key, what: nameOfPart(key, index) }, value);
      return [key, Array.isArray(part) ? part.map(one) : one(part)];
    });
    return Object.fromEntries(named) as OwnParts;
  }

  private named(entry: Entry, part: unknown): unknown {
    if (typeof part === 'function') return this.namedClass(entry, part as Type<object>);
    if (typeof part === 'object' && part !== null) this.claim(entry, part, part);
    return part;
  }

  /** A subclass: Nest finds what `injects` and decorators say of the class. */
  private namedClass(entry: Entry, part: Type<object>): Type<object> {
    const check = (made: object): void => {
      const problem = problemOfObject(entry.what, made, PORTS[entry.key]);
      if (problem !== undefined) throw new ConfigError(`--plugin ${entry.plugin}: ${problem}`);
      this.claim(entry, made, named);
    };
    const named = class extends part {
      // eslint-disable-next-line @typescript-eslint/no-explicit-any -- the compiler demands it of a mixin
      constructor(...args: any[]) {
        try {
          super(...(args as unknown[]));
        } catch (error) {
          throw new ConfigError(
            `--plugin ${entry.plugin}: the constructor of ${entry.what} failed: ${reasonOf(error)}${adviceFor(part, args)}`,
            { cause: error },
          );
        }
        check(this);
      }
    };
    Object.defineProperty(named, 'name', { value: part.name });
    return named;
  }

  /** Metrics, logs and paths have the names of notifiers and sources. */
  private claim({ plugin, key, what }: Entry, made: object, part: object): void {
    const { own }: Port = PORTS[key];
    if (!('name' in own)) return;
    const { name } = made as { name: string };
    const owner = this.owners.get(`${key} ${name}`);
    if (owner && owner.part !== part)
      throw new ConfigError(
        `--plugin ${plugin}: ${what} has the name ${JSON.stringify(name)}, which a part of ${owner.plugin} has already. Give it another name`,
      );
    this.owners.set(`${key} ${name}`, { plugin, part });
  }
}

/** Nest passes nothing to the constructor of a class that does not say what it needs. */
function adviceFor(part: Type<object>, args: readonly unknown[]): string {
  if (part.length === 0 || args.length > 0) return '';
  return `. It got no arguments: name what it needs with injects(${part.name || 'Mine'}, …)`;
}
