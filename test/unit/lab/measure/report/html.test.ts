import { describe, expect, it } from 'vitest';
import {
  anchor,
  code,
  folded,
  type Html,
  html,
  list,
  listing,
  measured,
  shellQuoted,
  table,
  verdict,
} from '../../../../../src/lab/measure/report/html.ts';
import { reportPage } from '../../../../../src/lab/measure/report/report-page.ts';

describe('a template', () => {
  it('escapes what it interpolates and nothing else', () => {
    expect(html`<b>${'<i> & "c" \'d\''}</b>${html`<i>${1}</i>`}${null}${['a', html`<br>`]}`.source).toBe(
      '<b>&lt;i&gt; &amp; &quot;c&quot; &#39;d&#39;</b><i>1</i>a<br>',
    );
    expect(code('<a>').source).toBe('<code>&lt;a&gt;</code>');
    expect(listing(['a', '<b>']).source).toBe('<pre><code>a\n&lt;b&gt;</code></pre>');
  });

  it('leaves out tables, lists and chapters without content', () => {
    const nothing: Html[] = [table([], { A: () => '1' }), list([]), folded('Empty', '', html``, null)];
    expect(nothing.map(({ source }) => source)).toEqual(['', '', '']);
  });

  it('has a dash for what is not known, and numbers at the right', () => {
    expect(table([1], { A: () => null, '>B': String }).source).toContain(
      '<tr><td data-title="A">–</td><td class="right" data-title="B">1</td></tr>',
    );
  });

  it('turns wide tables into cards on a phone', () => {
    const cells = { A: String, B: String, C: String };
    expect(table([1], cells).source).toContain('<div class="table">');
    expect(table([1], { ...cells, D: String }).source).toContain('<div class="table cards">');
  });

  it('links the first two measurements and counts the others', () => {
    expect(measured('m1', 'm1').source).toBe(' <a href="#m1">m1</a>');
    expect(measured('m1', 'm2', 'm3', 'm4').source).toBe(
      ' <a href="#m1">m1</a> <a href="#m2">m2</a> <a href="#m3">+2</a>',
    );
    expect(measured().source).toBe('');
    expect(anchor('m"1').source).toBe('<a id="m%221"></a>m&quot;1');
  });

  it('colours verdicts by what they say', () => {
    expect(verdict('met').source).toContain('class="tone good"');
    expect(verdict('grows').source).toContain('class="tone bad"');
    expect(verdict('inconclusive').source).toContain('class="tone neutral"');
  });
});

it('a page escapes its title, loads nothing and runs nothing', () => {
  const page = reportPage({ title: '<script>', tone: 'bad', body: 'a < b' });
  expect(page).toContain('<title>&lt;script&gt;</title>');
  expect(page).toContain("default-src 'none'".replaceAll("'", '&#39;'));
  expect(page).toContain('a &lt; b');
  expect(page).toContain('"Segoe UI"');
});

describe('commands in a report', () => {
  it.each([
    ['report/best.yaml', 'report/best.yaml'],
    ['gate north.yaml', "'gate north.yaml'"],
    ['fps>=30,p99<=50ms', "'fps>=30,p99<=50ms'"],
    ["it's", "'it'\\''s'"],
    ['', "''"],
  ])('quote %j as %s', (word, quoted) => {
    expect(shellQuoted(word)).toBe(quoted);
  });
});
