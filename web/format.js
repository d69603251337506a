const whole = new Intl.NumberFormat('en');
const compact = (/** @type {number} */ digits) =>
  new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: digits });
const [twoDigits, threeDigits] = [compact(2), compact(3)];
const clock = new Intl.DateTimeFormat('en', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});

const minutes = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const day = new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short' });

export const formatCount = (/** @type {number} */ value) => whole.format(value);
/**
 * At most five characters: 1234 is 1.2K, 12345 is 12.3K.
 *
 * @param {number} value
 */
export function formatShort(value) {
  if (value < 1000) return String(value);
  return (value < 10_000 ? twoDigits : threeDigits).format(value);
}
export const formatFps = (/** @type {number} */ value) => (value >= 100 ? value.toFixed(0) : value.toFixed(1));
export const formatMs = (/** @type {number} */ value) =>
  value < 10 ? value.toFixed(1) : whole.format(Math.round(value));
export const formatTime = (/** @type {number} */ timeMs) => clock.format(timeMs);
export const formatMinute = (/** @type {number} */ timeMs) => minutes.format(timeMs);
/** `Nov 27, 14:28:15`. */
export const formatDate = (/** @type {number} */ timeMs) => `${day.format(timeMs)}, ${clock.format(timeMs)}`;

/** @param {number} bytes */
export function formatBytes(bytes) {
  const mebibytes = bytes / 1024 ** 2;
  return mebibytes < 1000 ? `${mebibytes.toFixed(0)} MiB` : `${(mebibytes / 1024).toFixed(1)} GiB`;
}

/** @param {number} seconds */
export function formatDuration(seconds) {
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor(seconds / 3600) % 24;
  const minutes = Math.floor(seconds / 60) % 60;
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}

/**
 * `1 stream`, `2 streams`.
 *
 * @param {number} number
 * @param {string} noun in the singular
 */
export function formatNumber(number, noun) {
  return `${formatCount(number)} ${noun}${number === 1 ? '' : 's'}`;
}

/**
 * Turns `queue-full` into `Queue full`.
 *
 * @param {string} name
 */
export function formatName(name) {
  const words = name.replaceAll('-', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}
