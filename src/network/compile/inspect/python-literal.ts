/** The value of a Python literal. A tuple becomes a list, and dictionary keys become text. */
export type PythonValue = string | number | boolean | null | PythonValue[] | Map<string, PythonValue>;

/** Deeper than any literal that exporters write. */
const MAX_LEVELS = 16;

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  b: '\b',
  f: '\f',
  v: '\v',
  a: '\x07',
  0: '\0',
  '\n': '',
};

/**
 * Parses a Python literal as written by `repr` and `json.dumps`: dictionaries, lists, tuples, strings in either kind of quotes with
 * escapes, numbers, True, False and None.
 *
 * @throws SyntaxError, with the position, for anything else.
 */
export function parsePythonLiteral(text: string): PythonValue {
  const reader = new LiteralReader(text);
  const value = reader.value(0);
  reader.end();
  return value;
}

class LiteralReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(level: number): PythonValue {
    if (level > MAX_LEVELS) throw this.#wrong(`at most ${MAX_LEVELS} levels`);
    const next = this.#peek();
    if (next === '{') return this.#dictionary(level);
    if (next === '[') return this.#list(']', level);
    if (next === '(') return this.#list(')', level);
    if (next === "'" || next === '"') return this.#string();
    return this.#word();
  }

  end(): void {
    if (this.#peek() !== '') throw this.#wrong('the end');
  }

  /** Skips white space and returns the next character; empty at the end. */
  #peek(): string {
    while (/\s/.test(this.#text[this.#at] ?? '')) this.#at += 1;
    return this.#text[this.#at] ?? '';
  }

  #take(character: string): void {
    if (this.#peek() !== character) throw this.#wrong(character);
    this.#at += 1;
  }

  #dictionary(level: number): Map<string, PythonValue> {
    const entries = new Map<string, PythonValue>();
    this.#take('{');
    while (this.#peek() !== '}') {
      const key = this.value(level + 1);
      if (typeof key === 'object' && key !== null) throw this.#wrong('a number or text as a key');
      this.#take(':');
      entries.set(String(key), this.value(level + 1));
      if (this.#peek() !== '}') this.#take(',');
    }
    this.#take('}');
    return entries;
  }

  #list(close: ']' | ')', level: number): PythonValue[] {
    const values: PythonValue[] = [];
    this.#at += 1;
    while (this.#peek() !== close) {
      values.push(this.value(level + 1));
      if (this.#peek() !== close) this.#take(',');
    }
    this.#take(close);
    return values;
  }

  #string(): string {
    const quote = this.#text[this.#at];
    let value = '';
    for (this.#at += 1; this.#at < this.#text.length; this.#at += 1) {
      const character = this.#text[this.#at]!;
      if (character === quote) {
        this.#at += 1;
        return value;
      }
      value += character === '\\' ? this.#escape() : character;
    }
    throw this.#wrong(`a closing ${quote}`);
  }

  /** Reads the escape after a backslash; stops at its last character. */
  #escape(): string {
    this.#at += 1;
    const kind = this.#text[this.#at] ?? '';
    const digits = { x: 2, u: 4, U: 8 }[kind];
    if (digits === undefined) return ESCAPES[kind] ?? (`'"\\/`.includes(kind) ? kind : `\\${kind}`);
    const code = this.#text.slice(this.#at + 1, this.#at + 1 + digits);
    const point = Number.parseInt(code, 16);
    if (!/^[0-9a-f]+$/i.test(code) || code.length < digits || point > 0x10ffff)
      throw this.#wrong(`${digits} hex digits`);
    this.#at += digits;
    return String.fromCodePoint(point);
  }

  #word(): number | boolean | null {
    const word = /^[-+\w.]+/.exec(this.#text.slice(this.#at, this.#at + 64))?.[0] ?? '';
    const known = new Map([
      ['True', true],
      ['true', true],
      ['False', false],
      ['false', false],
      ['None', null],
      ['null', null],
    ]).get(word);
    if (known === undefined && (word === '' || Number.isNaN(Number(word)))) throw this.#wrong('a literal');
    this.#at += word.length;
    return known === undefined ? Number(word) : known;
  }

  #wrong(expected: string): SyntaxError {
    return new SyntaxError(`expected ${expected} at character ${this.#at}`);
  }
}
