interface Attribute {
  readonly type: string;
  readonly value: string;
}

/** A keystring or a numeric OID (RFC 4514, section 3; `OID.` is from RFC 2253), with the spaces that writers add. */
const TYPE = / *((?:OID\.)?\d+(?:\.\d+)*|[A-Za-z][A-Za-z0-9-]*) *= */iy;
/** The same in the old form of OpenSSL: behind a slash, without spaces. */
const SLASH_TYPE = /\/((?:\d+(?:\.\d+)+|[A-Za-z][A-Za-z0-9.-]*))=/g;
/** What is a common name (RFC 4519, section 2.3). */
const COMMON_NAME = new Set(['cn', 'commonname', '2.5.4.3', 'oid.2.5.4.3']);
/** What must be escaped within a value (RFC 4514, section 2.4); the comma and the plus end one. */
const FORBIDDEN = '";<>\0';
const ESCAPED = ' "#+,;<=>\\';
/** UTF8String, PrintableString, TeletexString, IA5String (X.690): the strings of one byte a character that names are in. */
const STRING_TAGS = new Set([0x0c, 0x13, 0x14, 0x16]);

/**
 * The device that a header names: the one common name in a distinguished name, as RFC 4514 writes it, or, where the text
 * begins with a slash, as OpenSSL once did; a text that is no distinguished name is the device itself. Undefined where it
 * has no common name, several, or cannot be read: what is not understood speaks for nobody.
 */
export function deviceNamedIn(text: string): string | undefined {
  const trimmed = text.trim();
  if (!trimmed) return undefined;
  if (trimmed.startsWith('/')) return commonNameOf(slashForm(trimmed));
  TYPE.lastIndex = 0;
  if (TYPE.test(text)) return commonNameOf(new NameParser(text).parse());
  // No device id holds one of these: it is neither a name nor a distinguished name.
  return /[=,+;"<>\\]/.test(trimmed) ? undefined : trimmed;
}

function commonNameOf(attributes: readonly Attribute[] | undefined): string | undefined {
  const names = attributes?.filter(({ type }) => COMMON_NAME.has(type.toLowerCase())) ?? [];
  return names.length === 1 ? names[0]?.value || undefined : undefined;
}

/** `/C=DE/CN=line-1/sensor`: a slash begins an attribute only where a type and an equals sign follow it. */
function slashForm(text: string): Attribute[] | undefined {
  const starts = [...text.matchAll(SLASH_TYPE)];
  if (starts[0]?.index !== 0) return undefined;
  return starts.map((match, i) => ({
    type: match[1] ?? '',
    value: text.slice(match.index + match[0].length, starts[i + 1]?.index),
  }));
}

/** Reads `TYPE=VALUE`, joined by commas and, within one relative name, by pluses (RFC 4514, section 3). */
class NameParser {
  private at = 0;

  constructor(private readonly text: string) {}

  /** Undefined for what is no distinguished name. */
  parse(): Attribute[] | undefined {
    const attributes: Attribute[] = [];
    for (;;) {
      TYPE.lastIndex = this.at;
      const type = TYPE.exec(this.text)?.[1];
      if (type === undefined) return undefined;
      this.at = TYPE.lastIndex;
      const value = this.value();
      if (value === undefined) return undefined;
      attributes.push({ type, value });
      if (this.at === this.text.length) return attributes;
      // A comma or a plus, behind which another attribute must come.
      this.at++;
    }
  }

  private value(): string | undefined {
    if (this.text[this.at] === '#') return this.hexString();
    return this.text[this.at] === '"' ? this.quoted() : this.plain();
  }

  private isAtEnd(): boolean {
    return this.at === this.text.length || this.text[this.at] === ',' || this.text[this.at] === '+';
  }

  private plain(): string | undefined {
    const bytes: Buffer[] = [];
    // Spaces at the end belong to no value, unless they are escaped.
    let length = 0;
    while (!this.isAtEnd()) {
      const isEscape = this.text[this.at] === '\\';
      const character = isEscape ? this.escape() : this.character();
      if (!character || (!isEscape && FORBIDDEN.includes(character.toString()))) return undefined;
      bytes.push(character);
      if (isEscape || character.toString() !== ' ') length = bytes.length;
    }
    return textOf(bytes.slice(0, length));
  }

  /** RFC 2253, section 4: in quotes, only a quote and a backslash are escaped. */
  private quoted(): string | undefined {
    const bytes: Buffer[] = [];
    this.at++;
    while (this.text[this.at] !== '"') {
      if (this.at >= this.text.length) return undefined;
      const character = this.text[this.at] === '\\' ? this.escape() : this.character();
      if (!character) return undefined;
      bytes.push(character);
    }
    this.at++;
    while (this.text[this.at] === ' ') this.at++;
    return this.isAtEnd() ? textOf(bytes) : undefined;
  }

  /** The BER of a value (RFC 4514, section 2.4): a string, whose bytes are its text. */
  private hexString(): string | undefined {
    const [, hex = ''] = /^#((?:[0-9a-f]{2})+) *(?=[,+]|$)/i.exec(this.text.slice(this.at)) ?? [];
    if (!hex) return undefined;
    this.at += hex.length + 1;
    while (this.text[this.at] === ' ') this.at++;
    const [tag = 0, length = 0, ...content] = Buffer.from(hex, 'hex');
    // What is no string has a value, too; it is none that a device could have.
    if (!STRING_TAGS.has(tag)) return '';
    return length < 0x80 && length === content.length ? textOf([Buffer.from(content)]) : undefined;
  }

  private character(): Buffer {
    const character = String.fromCodePoint(this.text.codePointAt(this.at) ?? 0);
    this.at += character.length;
    return Buffer.from(character, 'utf8');
  }

  /** A backslash and a special character, or two hex digits, which are one byte of UTF-8. */
  private escape(): Buffer | undefined {
    const next = this.text[this.at + 1] ?? '';
    if (next !== '' && ESCAPED.includes(next)) {
      this.at += 2;
      return Buffer.from(next);
    }
    const hex = this.text.slice(this.at + 1, this.at + 3);
    if (!/^[0-9a-f]{2}$/i.test(hex)) return undefined;
    this.at += 3;
    return Buffer.from(hex, 'hex');
  }
}

/** Undefined for what is no UTF-8. */
function textOf(bytes: readonly Buffer[]): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(bytes));
  } catch {
    return undefined;
  }
}
