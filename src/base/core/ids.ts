/** Names that users give to streams, sinks, zones and lines: letters, digits, dot, dash and underscore. */
export const ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
