import { describe, expect, it } from 'vitest';
import { terminalMessage, terminalText } from '../../../../src/base/core/terminal-text.ts';

describe('terminalText', () => {
  it.each([
    ['\u001b[2J\u001b]0;title\u0007', '?[2J?]0;title?'],
    ['a\rb\u0008c\u007f', 'a?b?c?'],
    ['\u009b31m', '?31m'],
    ['cam\u202egpj.exe', 'cam?gpj.exe'],
  ])('replaces what a terminal obeys: %j', (text, shown) => {
    expect(terminalText(text)).toBe(shown);
  });

  it('indents further lines of a message, so that none looks like one of its own', () => {
    expect(terminalMessage('cannot read a\n12:00:00  all is well.mp4')).toBe(
      'cannot read a\n    12:00:00  all is well.mp4',
    );
  });

  it.each(['Straße 1\n\tzwei', '入口 🚗', 'é̀ 👩‍👩‍👧'])('keeps text, lines and tabs: %j', (text) => {
    expect(terminalText(text)).toBe(text);
  });
});
