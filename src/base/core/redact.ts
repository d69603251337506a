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
    'proto quality rate res resolution size stream streamtype subtype track trackid transport transportmode type unicast ' +
    'video videocodec videoformat width'
  ).split(' '),
);
/**
 * Words that addresses of pictures have, and places that cameras look at. Any other word may be a password, so it is hidden, however plain it is:
 * add what addresses of cameras are seen to have.
 */
const SHOWN_WORDS = new Set(
  (
    'aac airport aisle alley amp api app apron aquarium arcade archive arena asf asset assets atrium attic audio av ' +
    'avc axis back backyard bakery balcony bank bar barn barrier basement bathroom bay bcs beach bedroom belt bicycle ' +
    'bicycles bike bikes bin boat boats bridge broadcast building bus cafe cam camera cameras cams canteen car cctv ' +
    'cellar cgi ch channel channels checkout checkpoint chunk chunklist church cinema city classroom clinic clip ' +
    'clips coast conveyor cooler corridor counter court courtyard crane cross crossing crosswalk day deck default ' +
    'demo desk dining dock docks door down drive driveway east elevator encoder encoding entrance entry escalator ' +
    'example examples exit factory farm feed feeds fence ferry field file files floor flow fluent flv footage ' +
    'forecourt forest fountain frame frames freeway freezer front full gallery gangway garage garden gate gates ' +
    'greenhouse gym h hall hallway hangar harbor harbour hd height helipad hevc high highway hls home hospital hotel ' +
    'house hq image images img in index indoor input inside inst intersection ipcam island jetty jpeg jpg junction ' +
    'kindergarten kitchen lab laboratory lake lane lawn left level lib library lift live livestream living loading ' +
    'lobby lot lounge low lower lq main mall manifest marina market master media medium meeting metro mid middle mini ' +
    'mjpeg mjpg mobile mono motion motorway movie movies mp mpeg mpjpeg multicast museum my name new night no north ' +
    'nursery office ok one onvif origin out outdoor output outside parcel park parking passage path patio pavement ' +
    'pedestrian pedestrians people perimeter person photo photos pic pics picture pictures pier plant platform play ' +
    'player playground playlist plaza pond pool porch port preview primary profile profiles public push rail ramp ' +
    'realmonitor rear reception record recording recordings records replay reports res restaurant results right river ' +
    'road roof room roundabout rtmp rtp rtsp runway sample samples school sd sdp second secondary segment segments ' +
    'server shop side sidewalk silo single site skyline small smp snap snapshot source south square src stable ' +
    'stadium stage staircase stairs stairway station stock storage store stored stream streaming streams street ' +
    'studio sub substream subway summit tap taxi terminal terrace test tests theater theatre three till toll tower ' +
    'track trackid tracks traffic train tram truck trucks ts tunnel turnstile two udp under unicast up upper van ' +
    'vehicle vehicles vestibule vid video videos village vod walkway wall ward warehouse waterfront web webcam ' +
    'weighbridge west wide window work workshop yard zone'
  ).split(' '),
);
/** Names that whoever owns this machine gave to cameras. */
const shownNames = new Set<string>();
const EXTENSION =
  /\.(?:26[45]|aac|amp|asf|asp|aspx|avi|bcs|bmp|cgi|flv|gif|h26[45]|hevc|html?|jpe?g|jsp|m3u8?|m4[sv]|mjpe?g|mkv|mov|mp[34]|mpd|mpe?g|ogg|php|png|sdp|smp|ts|webm|webp|wmv)$/i;
const RESOLUTION = /^[1-9]\d{1,3}x[1-9]\d{1,3}$/;
/** At the end of a name: `2026-11-27`, `2026-11-27T10-21-44`, `20261127T102144`. */
const DATE =
  /(?:^|[-_])20\d\d(?:-[01]\d-[0-3]\d(?:[T_-][0-2]\d-?[0-5]\d(?:-?[0-5]\d)?Z?)?|[01]\d[0-3]\dT[0-2]\d[0-5]\d[0-5]\dZ?)$/;
/** More words may be a pass phrase. */
const MOST_WORDS = 4;
/** Values of these are numbers of up to five digits, others of up to three. */
const LARGE_NUMBERS = /^(?:bitrate|height|width)$/i;
/** What ends a sentence rather than an address. */
const PUNCTUATION = ".,:;!?)']";
/** Stands for what is not shown. */
export const HIDDEN = '***';

/** Names of settings whose values are secrets; `tokensFile` is none. */
const SECRET_NAME =
  /(?:pass(?:word|wd|phrase|code)?|psw|pwd|secret|credential|auth|authorization|cookie|(?:^|[_-])(?:key|token))s?$/i;
const SECRET_END = /[a-z](?:Key|Token)s?$/;

/**
 * Shows parts of paths that are the name of a camera from now on, in this thread: `/plaza` of the camera `plaza`. Only for names of the owner's own
 * file: whoever may add cameras could else try which key a hidden part is.
 */
export function showNames(names: Iterable<string>): void {
  for (const name of names) shownNames.add(name.toLowerCase());
}

/** Returns whether a setting of this name is a secret, which nobody may read. */
export function isSecretName(name: string): boolean {
  return name === 'headers' || SECRET_NAME.test(name) || SECRET_END.test(name);
}

/**
 * Returns a text that can be printed: of every address in it only scheme and host remain, and what is known to be harmless of path and
 * query: words that such addresses have, names of cameras (`showNames`), numbers of up to three digits, dates. All else becomes `***`: names of secrets are not
 * listed, because every maker of cameras has its own. Paths of files are shown, but for what looks like a key.
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

/** As `redact`, for the address of a webhook: its path is often its only password. */
export function redactWebhook(url: string): string {
  return redact(url).replace(/^((?:[a-z]+:\/\/)?(?:\$\{[^}]*\}|[^/?#])*).*$/is, '$1');
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
  const isShown = /^file:/i.test(address) ? (name: string) => !looksLikeKey(withoutExtension(name)) : isShownPart;
  const shown = [pathAt < 0 ? path : path.slice(0, pathAt) + redactPath(path.slice(pathAt), isShown)];
  if (query.length > 0) shown.push('?', redactQuery(query.join('?')));
  if (fragment.length > 0) shown.push('#', HIDDEN);
  return shown.join('');
}

function redactPath(path: string, isShown: (name: string) => boolean): string {
  return path
    .split('/')
    .map((part) => {
      const [name, ...parameters] = part.split(';') as [string, ...string[]];
      const shownName = name.includes('=') ? redactQuery(name, IN_PATH) : isShown(name) ? name : HIDDEN;
      return [shownName, ...parameters.map(redactParameter)].join(';');
    })
    .join('/');
}

function isShownPart(part: string): boolean {
  return isHarmless(part) || shownNames.has(part.replace(EXTENSION, '').toLowerCase());
}

/** Returns whether a part of a path, or the value of a parameter, can hold no secret. */
function isHarmless(part: string): boolean {
  const name = part.replaceAll(MARKED, '').replace(EXTENSION, '').replace(/^@/, '').replace(DATE, '');
  if (/^[a-z]?\d{0,3}$/i.test(name)) return true;
  const words = name.split(/[-_.]|(?<=[a-z0-9])(?=[A-Z][a-z])/);
  return words.length <= MOST_WORDS && words.every((word, i) => isHarmlessWord(word, words[i - 1]));
}

/** Returns whether this is a known word, with a number of up to three digits or without, a resolution, or a number behind a word. */
function isHarmlessWord(word: string, before: string | undefined): boolean {
  if (/^\d{1,3}$/.test(word)) return before !== undefined && !/^\d/.test(before);
  const letters = /^([a-z]+)\d{0,3}$/i.exec(word)?.[1] ?? '';
  return SHOWN_WORDS.has(letters.toLowerCase()) || RESOLUTION.test(word);
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
  const isNumber = LARGE_NUMBERS.test(key) && /^\d{1,5}$/.test(value);
  const isShown = ONLY_MARKS.test(value) || (SHOWN_KEYS.has(key.toLowerCase()) && (isNumber || isHarmless(value)));
  return `${key}=${isShown || value === '' ? value : HIDDEN}`;
}

function withoutExtension(name: string): string {
  return name.replace(/\.[a-z][a-z0-9]{1,4}$/i, '');
}
