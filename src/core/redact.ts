import { looksLikeKey, withoutHidden } from './hidden-values.ts';

/** Longer texts are cut: their authors are not people, and the time that some patterns take grows faster than the text. */
const MAX_CHARS = 8192;
/** The end of a scheme; the letters before the last one are printed as they are. */
const SCHEME_END = /[a-z][0-9+.-]*:\/\//i;
/** As people mistype an address: `http:/user:password@host`, `user:password@host`. */
const WITHOUT_SLASHES = /(^|[\s"'`(=])((?:[a-z][a-z0-9+.-]*:\/?(?!\/))?)[^\s"'`@/:]+:(?!\/\/)[^\s"'`@]+@/gi;
/** An address up to white space or a closing quotation mark, which no address contains. */
const ADDRESS = /[a-z][0-9+.-]*:\/\/[^\s"<>`]*/gi;
/** Query of an address without scheme and host: `/live?user=a`. */
const QUERY = /\?[^\s"<>`?]*=[^\s"<>`]*/g;
const CREDENTIALS_HEADER =
  /\b(authorization\s*[:=]\s*|bearer\s+|basic\s+(?=[A-Za-z0-9+/]{8}))(?:basic\s+|bearer\s+|digest\s+)?[^\s"]+/gi;
const ASSIGNED_SECRET =
  /(?<![\w-])([\w-]*(?:pass(?:word|wd|phrase)?|psw|pwd|token|secret|api_?key))=(?!\*\*\*|(?:\uE000\d+\uE000)+(?:[\s"&]|$))[^\s"&]+/gi;

/** Parameters that say which picture is shown, not who may see it. Everything else is hidden. */
const SHOWN_KEYS = new Set(
  (
    'app audio bitrate cam camera ch channel chn codec compression encoding format fps framerate height id profile ' +
    'proto quality rate res resolution size stream streamtype subtype track transport transportmode type unicast ' +
    'video videocodec videoformat width'
  ).split(' '),
);
const SHOWN_VALUE = /^[\w.x-]{0,24}$/;
/** What ends a sentence rather than an address. */
const PUNCTUATION = ".,:;!?)']";
const HIDDEN = '***';

/**
 * Returns a text that can be printed: of every address in it only scheme, host, path and the parameters that are known to be
 * harmless remain. User name and password, other values of the query, the fragment, parameters of the path and parts of the path that look
 * like a key become `***`. Names of secrets are not listed, because every maker of cameras has its own.
 *
 * People do not percent-encode `@`, `/`, `?` or `#` in passwords, so everything up to the last `@` is removed if it may
 * hold credentials. A path with an `@` after a port number is shortened too; that is the cheaper mistake.
 *
 * Placeholders such as `${env:PASSWORD}` are shown, and stand for the values that `hideValue` hides.
 *
 * @param maxChars - a longer text is cut, where a word ends.
 */
export function redact(text: string, maxChars = MAX_CHARS): string {
  const shown = withoutHidden(text);
  const placeholders: string[] = [];
  const marked = (shown.length > maxChars ? cut(shown, maxChars) : shown).replace(PLACEHOLDER, (placeholder) => {
    placeholders.push(placeholder);
    return `${MARK}${placeholders.length - 1}${MARK}`;
  });
  return redactMarked(marked).replace(MARKED, (_, index: string) => placeholders[Number(index)] ?? '');
}

function cut(text: string, maxChars: number): string {
  return text.slice(0, maxChars - HIDDEN.length).replace(/(?<!\S)\S*$/, HIDDEN);
}

/** A placeholder of a pipeline file names a secret and does not hold it. While the rest is redacted, a mark stands for it. */
const PLACEHOLDER = /\$\{(?:env|file):[^}\s]{1,256}\}/g;
const MARK = '\uE000';
const MARKED = /\uE000(\d+)\uE000/g;
/** A password that is a placeholder, and the user before it. */
const PLACEHOLDER_LOGIN = /^(?:[\w.-]*:)?(?:\uE000\d+\uE000:?)+$/;
const ONLY_MARKS = /^(?:\uE000\d+\uE000)+$/;

function redactMarked(text: string): string {
  return text
    .replace(/\S+/g, withoutUserInfo)
    .replace(WITHOUT_SLASHES, `$1$2${HIDDEN}@`)
    .replace(ADDRESS, (address) => withoutPunctuation(address, redactAddress))
    .replace(QUERY, (query) => withoutPunctuation(query, redactAddress))
    .replace(CREDENTIALS_HEADER, `$1${HIDDEN}`)
    .replace(ASSIGNED_SECRET, `$1=${HIDDEN}`);
}

/** As `redact`, for a source alone. In an address white space is shown encoded: redaction stops at it, and a password may hold it. */
export function redactSource(source: string): string {
  return redact(source.includes('://') ? source.replaceAll(/\s/g, '%20') : source);
}

/** Returns whether a source is one that `redactSource` has returned, with something hidden in it. */
export function isRedacted(source: string): boolean {
  return source.includes('://') && HIDDEN_PART.test(source);
}

const HIDDEN_PART = /(?:\/|[=#;])\*{3}(?:[@&/?#;]|$)/;

function withoutUserInfo(word: string): string {
  const at = word.lastIndexOf('@');
  const scheme = at < 0 ? null : SCHEME_END.exec(word.slice(0, at));
  if (scheme === null) return word;
  const start = scheme.index + scheme[0].length;
  const before = word.slice(start, at);
  return mayHoldCredentials(before) && !PLACEHOLDER_LOGIN.test(before)
    ? `${word.slice(0, start)}${HIDDEN}${word.slice(at)}`
    : word;
}

/** @param before - the text between `://` and the last `@`. */
function mayHoldCredentials(before: string): boolean {
  const authorityEnd = before.search(/[/?#]/);
  return authorityEnd < 0 || before.slice(0, authorityEnd).includes('@') || before.includes(':');
}

function withoutPunctuation(text: string, change: (bare: string) => string): string {
  let end = text.length;
  while (end > 0 && PUNCTUATION.includes(text[end - 1]!)) end -= 1;
  return change(text.slice(0, end)) + text.slice(end);
}

/** @param address - may lack all before the query. */
function redactAddress(address: string): string {
  const [beforeFragment, ...fragment] = address.split('#') as [string, ...string[]];
  const [path, ...query] = beforeFragment.split('?') as [string, ...string[]];
  const pathAt = path.indexOf('/', path.indexOf('://') + 3);
  const shown = [pathAt < 0 ? path : path.slice(0, pathAt) + redactPath(path.slice(pathAt))];
  if (query.length > 0) shown.push('?', redactQuery(query.join('?')));
  if (fragment.length > 0) shown.push('#', HIDDEN);
  return shown.join('');
}

function redactPath(path: string): string {
  return path
    .split('/')
    .map((part) => {
      const [name, ...parameters] = part.split(';') as [string, ...string[]];
      const shownName = name.includes('=')
        ? redactQuery(name, IN_PATH)
        : looksLikeKey(withoutExtension(name))
          ? HIDDEN
          : name;
      return [shownName, ...parameters.map(redactParameter)].join(';');
    })
    .join('/');
}

/** What separates parameters in a query, and in a part of a path such as `user=a_password=b`. */
const [IN_QUERY, IN_PATH] = [/([&;])/, /([&;]|_(?=[a-z]+=))/i];

function redactQuery(query: string, separator = IN_QUERY): string {
  return query
    .split(separator)
    .map((part, index) => (index % 2 === 1 ? part : redactParameter(part)))
    .join('');
}

function redactParameter(parameter: string): string {
  const at = parameter.indexOf('=');
  if (at < 0) return parameter === '' ? '' : HIDDEN;
  const [key, value] = [parameter.slice(0, at), parameter.slice(at + 1)];
  if (!/^[a-z][\w.-]{0,31}$/i.test(key) || looksLikeKey(key)) return HIDDEN;
  const isShown =
    ONLY_MARKS.test(value) || (SHOWN_KEYS.has(key.toLowerCase()) && SHOWN_VALUE.test(value) && !looksLikeKey(value));
  return `${key}=${isShown || value === '' ? value : HIDDEN}`;
}

function withoutExtension(name: string): string {
  return name.replace(/\.[a-z][a-z0-9]{1,4}$/i, '');
}
