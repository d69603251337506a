/** The style of a report. One file must hold everything, so it is a text here. */
export const REPORT_STYLE = `
:root {
  color-scheme: light; --page: #f4f5f7; --surface: #fff; --sunken: #f0f2f5; --line: #dde2e8; --text: #1a212b; --muted: #566170;
  --accent: #1559b0; --good: #14683a; --good-tint: #e4f4ea; --bad: #b02329; --bad-tint: #fcebeb; --neutral-tint: #eceff3;
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); overflow-wrap: break-word; font: 15px/1.5 system-ui, -apple-system,
  "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums;
  -webkit-text-size-adjust: 100%; }
main { max-width: 1230px; margin: 0 auto; padding: 28px 24px 72px; }
header { border-left: 6px solid var(--muted); padding: 2px 0 2px 20px; margin-bottom: 20px; }
.good header { border-color: var(--good); } .bad header { border-color: var(--bad); }
h1 { font-size: 1.9rem; line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 6px; }
.good h1 { color: var(--good); } .bad h1 { color: var(--bad); }
h1 + p { color: var(--muted); font-size: 0.92rem; }
h2 { font-size: 1.25rem; margin: 28px 0 10px; } h3 { font-size: 1.02rem; margin: 26px 0 8px; }
p, ul, ol { margin: 0 0 10px; max-width: 88ch; } ul, ol { padding-left: 20px; } header p { max-width: none; } li { margin-bottom: 4px; }
header p:last-child { margin-bottom: 0; }
a { color: var(--accent); text-underline-offset: 2px; }
a[href^="#"] { font-size: 0.76em; color: var(--muted); text-decoration: none; border-bottom: 1px dotted; font-weight: 400; }
code { font: 0.87em ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; background: var(--sunken);
  padding: 1px 4px; border-radius: 4px; overflow-wrap: anywhere; }
pre { background: var(--sunken); border-radius: 8px; padding: 12px 16px; margin: 0 0 14px; overflow-x: auto; }
pre code { background: none; padding: 0; overflow-wrap: normal; }
.front { display: grid; grid-template-columns: minmax(0, 1.65fr) minmax(0, 1fr); grid-template-rows: auto 1fr; align-items: start; gap: 16px; margin-bottom: 18px; }
.front section { grid-column: 2; background: var(--surface); border: 1px solid var(--line); border-radius: 12px; padding: 16px 20px 10px; }
.front section:first-child { grid-column: 1; grid-row: 1 / span 2; } .front section:only-child { grid-column: 1 / -1; }
.front h3 { margin-top: 0; } .front p { font-size: 0.93rem; }
details { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; margin-bottom: 10px; padding: 0 20px; }
details details { margin: 14px 0; background: none; }
summary { cursor: pointer; font-weight: 650; font-size: 1.06rem; padding: 12px 0; } details details > summary { font-size: 0.95rem; font-weight: 600; }
details[open] { padding-bottom: 12px; }
.tone { display: inline-block; font-size: 0.84rem; padding: 1px 8px; border-radius: 8px; background: var(--neutral-tint); white-space: nowrap; }
.tone.good { background: var(--good-tint); color: var(--good); } .tone.bad { background: var(--bad-tint); color: var(--bad); }
.table { overflow-x: auto; margin: 0 0 14px; }
table { border-collapse: collapse; width: 100%; font-size: 0.91rem; }
th { text-align: left; font-weight: 600; color: var(--muted); font-size: 0.84rem; vertical-align: bottom; }
th, td { padding: 6px 16px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; } th:last-child, td:last-child { padding-right: 0; }
tr:last-child td { border-bottom: 0; } .front td { padding-top: 5px; padding-bottom: 5px; } .right { text-align: right; } td:target, tr:has(:target) td { background: var(--neutral-tint); }
svg { display: block; width: 100%; height: auto; max-width: 900px; margin: 6px 0 16px; } svg[data-width="narrow"] { display: none; max-width: 420px; }
@media (min-width: 761px) { .front td:nth-child(2), .front td:nth-child(3) { white-space: nowrap; } }
@media (max-width: 760px) {
  main { padding: 16px 12px 48px; } header { padding-left: 12px; } h1 { font-size: 1.45rem; }
  .front { display: block; } .front section { margin-bottom: 12px; padding: 14px 14px 6px; }
  details { padding: 0 14px; } details details { padding: 0 10px; }
  svg[data-width="wide"] { display: none; } svg[data-width="narrow"] { display: block; }
  th, td { padding-right: 10px; }
  .cards thead { display: none; } .cards table, .cards tbody, .cards tr, .cards td { display: block; }
  .cards tr { border: 1px solid var(--line); border-radius: 10px; padding: 6px 12px; margin-bottom: 10px; }
  .cards td { padding: 3px 0; border: 0; text-align: left; } .cards td:first-child { font-weight: 600; }
  .cards td:not(:first-child)::before { content: attr(data-title); display: inline-block; min-width: 7.5em; padding-right: 8px; color: var(--muted);
    font-size: 0.84rem; font-weight: 400; }
  .cards td:empty { display: none; }
}
@media print {
  body { background: none; font-size: 10pt; } main { max-width: none; padding: 0; } details, .front section { border: 0; padding: 0; }
  details::details-content { content-visibility: visible; display: block; } tr, svg, section { break-inside: avoid; }
}
`;
