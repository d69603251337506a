/** Returns CEL in which each level is a list of eight of the level before, and the last is compared: 8 ** levels steps. */
export function nestedBinds(levels: number): string {
  const name = (level: number): string => String.fromCharCode(97 + level);
  let text = `${name(levels)} == ${name(levels)}`;
  for (let i = levels; i > 0; i--)
    text = `cel.bind(${name(i)},[${Array(8)
      .fill(name(i - 1))
      .join(',')}],${text})`;
  return `cel.bind(a,[1],${text})`;
}
