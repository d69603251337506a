/** The style of a report. One file must hold everything, so it is a text here. */
export const REPORT_STYLE = `
:root {
  color-scheme: light; --page: #f4f5f7; --surface: #fff; --sunken: #f0f2f5; --line: #dde2e8; --text: #1a212b; --muted: #566170;
  --accent: #1559b0; --good: #14683a; --good-tint: #e4f4ea; --bad: #b02329; --bad-tint: #fcebeb; --neutral-tint: #eceff3; --warn: #9a5b00;
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
h3 { font-size: 1.02rem; margin: 26px 0 8px; }
p, ul, ol { margin: 0 0 10px; max-width: 88ch; } ul, ol { padding-left: 20px; } header p { max-width: none; } li { margin-bottom: 4px; }
header p:last-child { margin-bottom: 0; }
a { color: var(--accent); text-underline-offset: 2px; }
a[href^="#"] { font-size: 0.76em; color: var(--muted); text-decoration: none; border-bottom: 1px dotted; font-weight: 400; }
code { font: 0.87em ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; background: var(--sunken);
  padding: 1px 4px; border-radius: 4px; overflow-wrap: anywhere; }
pre { background: var(--sunken); border-radius: 8px; padding: 12px 16px; margin: 0 0 14px; overflow-x: auto; }
pre code { background: none; padding: 0; overflow-wrap: normal; }
.lead { font-size: 1rem; } .notes { color: var(--muted); }
.cards-row { display: grid; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)); gap: 16px; margin: 18px 0; }
section { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; padding: 16px 20px 10px; margin-bottom: 14px; }
section h2 { font-size: 1.1rem; margin: 0 0 6px; } .card { margin: 0; display: flex; flex-direction: column; } .card.chosen { border: 2px solid var(--accent); padding: 15px 19px 9px; }
.card p { margin-bottom: 8px; } .detector { color: var(--muted); font-size: 0.9rem; } .rate { margin-top: 6px; } .rate b { font-size: 2.3rem; line-height: 1.1; }
.chosen .rate b { color: var(--accent); } .times { color: var(--muted); font-size: 0.9rem; margin-top: -4px; }
dl { margin: 0 0 12px; } dl div { display: flex; justify-content: space-between; gap: 12px; border-top: 1px solid var(--line); padding: 4px 0; font-size: 0.91rem; }
dt { color: var(--muted); } dd { margin: 0; font-weight: 600; text-align: right; }
.points { list-style: none; padding: 0; font-size: 0.91rem; } .points li { padding-left: 24px; position: relative; } .points i { position: absolute; left: 2px; font-style: normal; font-weight: 700; color: var(--warn); }
.good .points .good i { color: var(--good); } .points .bad i { color: var(--bad); }
.file { margin-top: auto; padding-top: 6px; } .button { display: inline-block; padding: 6px 14px; border-radius: 8px; background: var(--accent); color: #fff; text-decoration: none; font-weight: 600; }
.next pre { margin: 4px 0 8px; } .small { color: var(--muted); font-size: 0.84rem; max-width: none; }
.bars > div { display: grid; grid-template-columns: minmax(90px, 22em) minmax(0, 1fr) 4.5em; align-items: center; gap: 12px; padding: 3px 0; font-size: 0.91rem; }
.bars i { display: block; height: 10px; border-radius: 3px; background: var(--accent); } .bars > div:first-child i { background: var(--muted); } .bars b { text-align: right; }
.stages > div { display: flex; height: 22px; margin: 0 0 10px; } .stages p { margin: 0 0 3px; } .stages .small i, .dot { display: inline-block; width: 10px; height: 10px; margin-right: 4px; border-radius: 2px; }
.part-read { background: #b9c6d6; } .part-decode { background: #1f4e8c; } .part-preprocess { background: #8fc1e3; } .part-wait { background: #cdd3da; } .part-infer { background: #b5591f; }
.part-postprocess { background: #f5bd77; } .part-track { background: #365f2b; } .part-publish { background: #b5d49c; } .part-unaccounted { background: #8a95a3; }
svg text { font-size: 12px; fill: var(--muted); } svg .number { fill: #fff; font-weight: 700; } .grid { stroke: var(--line); } .limit { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 6 4; }
.baseline circle { fill: #b5591f; } .best circle { fill: #1f5fae; } .other circle { fill: #4f7fb3; } .refused circle { fill: #b3565a; } .inconclusive circle { fill: #8a7434; }
.dot.baseline { background: #b5591f; } .dot.best { background: #1f5fae; } .dot.other { background: #4f7fb3; } .dot.refused { background: #b3565a; } .dot.inconclusive { background: #8a7434; }
details { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; margin-bottom: 10px; padding: 0 20px; }
details details { margin: 14px 0; background: none; }
summary { cursor: pointer; font-weight: 650; font-size: 1.06rem; padding: 12px 0; } details details > summary { font-size: 0.95rem; font-weight: 600; }
details[open] { padding-bottom: 12px; }
.tone { display: inline-block; font-size: 0.84rem; padding: 1px 8px; border-radius: 8px; background: var(--neutral-tint); white-space: nowrap; }
.good .tone.good { background: var(--good-tint); color: var(--good); } .tone.bad { background: var(--bad-tint); color: var(--bad); }
.table { overflow-x: auto; margin: 0 0 14px; }
table { border-collapse: collapse; width: 100%; font-size: 0.91rem; }
th { text-align: left; font-weight: 600; color: var(--muted); font-size: 0.84rem; vertical-align: bottom; }
th, td { padding: 6px 16px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; } th:last-child, td:last-child { padding-right: 0; }
tr:last-child td { border-bottom: 0; } .right { text-align: right; } td:target, tr:has(:target) td { background: var(--neutral-tint); }
svg { display: block; width: 100%; height: auto; max-width: 900px; margin: 6px 0 8px; }
@media (max-width: 760px) {
  main { padding: 16px 12px 48px; } header { padding-left: 12px; } h1 { font-size: 1.45rem; }
  section { padding: 14px 14px 6px; } .bars > div { grid-template-columns: minmax(0, 1fr) 4.5em; } .bars span { grid-column: 1 / -1; }
  details { padding: 0 14px; } details details { padding: 0 10px; }
  .drawing { overflow-x: auto; } .drawing svg { min-width: 640px; }
  th, td { padding-right: 10px; }
  .cards thead { display: none; } .cards table, .cards tbody, .cards tr, .cards td { display: block; }
  .cards tr { border: 1px solid var(--line); border-radius: 10px; padding: 6px 12px; margin-bottom: 10px; }
  .cards td { padding: 3px 0; border: 0; text-align: left; } .cards td:first-child { font-weight: 600; }
  .cards td:not(:first-child)::before { content: attr(data-title); display: inline-block; min-width: 7.5em; padding-right: 8px; color: var(--muted);
    font-size: 0.84rem; font-weight: 400; }
  .cards td:empty { display: none; }
}
@media print {
  body { background: none; font-size: 10pt; } main { max-width: none; padding: 0; } details, section { border: 0; padding: 0; }
  details::details-content { content-visibility: visible; display: block; } tr, svg, section { break-inside: avoid; }
}
`;
