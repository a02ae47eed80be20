interface Attribute {
  readonly type: string;
  readonly value: string;
}

/**
 * A keystring or a numeric OID (RFC 4514, section 3; `OID.` is from RFC 2253), with the spaces that some writers add.
 */
const TYPE = / *((?:OID\.)?\d+(?:\.\d+)*|[A-Za-z][A-Za-z0-9-]*) *= */iy;
/** The same in the old form of OpenSSL: after a slash, without spaces. */
const SLASH_TYPE = /\/((?:\d+(?:\.\d+)+|[A-Za-z][A-Za-z0-9.-]*))=/g;
/** The types of a common name (RFC 4519, section 2.3). */
const COMMON_NAME = new Set(['cn', 'commonname', '2.5.4.3', 'oid.2.5.4.3']);
/** Characters that must be escaped within a value (RFC 4514, section 2.4). A comma or a plus ends the value. */
const FORBIDDEN = '";<>\0';
const ESCAPED = ' "#+,;<=>\\';
/**
 * The string types with one byte per character in which names are encoded: UTF8String, PrintableString, TeletexString,
 * IA5String (X.690).
 */
const STRING_TAGS = new Set([0x0c, 0x13, 0x14, 0x16]);

/**
 * Returns the device id in a header: the only common name in a distinguished name, in the form of RFC 4514 or, if the
 * text begins with a slash, in the old form of OpenSSL. A text that is not a distinguished name is the device id
 * itself. Returns undefined if there is no common name, if there are several, or if the name cannot be parsed.
 */
export function deviceNamedIn(text: string): string | undefined {
  const trimmed = text.trim();
  if (!trimmed) return undefined;
  if (trimmed.startsWith('/')) return commonNameOf(slashForm(trimmed));
  TYPE.lastIndex = 0;
  if (TYPE.test(text)) return commonNameOf(new NameParser(text).parse());
  // A device id contains none of these characters, so the text is neither an id nor a distinguished name.
  return /[=,+;"<>\\]/.test(trimmed) ? undefined : trimmed;
}

function commonNameOf(attributes: readonly Attribute[] | undefined): string | undefined {
  const names = attributes?.filter(({ type }) => COMMON_NAME.has(type.toLowerCase())) ?? [];
  return names.length === 1 ? names[0]?.value || undefined : undefined;
}

/** Splits `/C=DE/CN=line-1/sensor`. A slash starts an attribute only if a type and an equals sign follow. */
function slashForm(text: string): Attribute[] | undefined {
  const starts = [...text.matchAll(SLASH_TYPE)];
  if (starts[0]?.index !== 0) return undefined;
  return starts.map((match, i) => ({
    type: match[1] ?? '',
    value: text.slice(match.index + match[0].length, starts[i + 1]?.index),
  }));
}

/** Parses `TYPE=VALUE` parts, separated by commas and, within one relative name, by pluses (RFC 4514, section 3). */
class NameParser {
  private at = 0;

  constructor(private readonly text: string) {}

  /** Returns undefined if the text is not a distinguished name. */
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
      // After a comma or a plus, another attribute must follow.
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
    // Spaces at the end are not part of a value, unless they are escaped.
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

  /** RFC 2253, section 4: within quotes, only a quote and a backslash are escaped. */
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

  /** Decodes the BER of a value (RFC 4514, section 2.4). The bytes of a string are its text. */
  private hexString(): string | undefined {
    const [, hex = ''] = /^#((?:[0-9a-f]{2})+) *(?=[,+]|$)/i.exec(this.text.slice(this.at)) ?? [];
    if (!hex) return undefined;
    this.at += hex.length + 1;
    while (this.text[this.at] === ' ') this.at++;
    const [tag = 0, length = 0, ...content] = Buffer.from(hex, 'hex');
    // A value that is not a string is kept, but no device has it as its id.
    if (!STRING_TAGS.has(tag)) return '';
    return length < 0x80 && length === content.length ? textOf([Buffer.from(content)]) : undefined;
  }

  private character(): Buffer {
    const character = String.fromCodePoint(this.text.codePointAt(this.at) ?? 0);
    this.at += character.length;
    return Buffer.from(character, 'utf8');
  }

  /** Decodes a backslash and a special character, or two hex digits, which are one byte of UTF-8. */
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

/** Returns undefined if the bytes are not UTF-8. */
function textOf(bytes: readonly Buffer[]): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(bytes));
  } catch {
    return undefined;
  }
}
