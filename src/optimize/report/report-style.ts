/**
 * The style of a report. One file must hold everything, so it is a text here. Colours of neighbouring stages alternate between
 * dark and light, so that they stay apart in grey.
 */
export const REPORT_STYLE = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --surface: #ffffff; --sunken: #f0f2f5; --line: #dde2e8; --text: #1a212b; --muted: #566170;
  --accent: #1559b0; --good: #14683a; --good-tint: #e4f4ea; --bad: #b02329; --bad-tint: #fcebeb; --neutral-tint: #eceff3;
  --grid: #e6eaef; --axis: #8a95a3; --halo: #ffffff; --edge: #47515e;
  --dark-1: #1f4e8c; --dark-2: #8a3b0c; --dark-3: #365f2b; --light-1: #b9c6d6; --light-2: #8fc1e3; --light-3: #f5bd77;
  --light-4: #b5d49c; --on-dark: #ffffff; --on-light: #14191f; --before: #8a3b0c; --after: #1f5fae; --target: #b02329;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #0f1318; --surface: #161c23; --sunken: #1d242d; --line: #2b343f; --text: #e6eaf0; --muted: #9ba7b5;
    --accent: #6eb0f5; --good: #6fd09a; --good-tint: #16301f; --bad: #ff8f92; --bad-tint: #391b1e; --neutral-tint: #252d37;
    --grid: #242c36; --axis: #6a7684; --halo: #161c23; --edge: #0f1318;
    --dark-1: #3f78c2; --dark-2: #b5591f; --dark-3: #4f8a41; --light-1: #aab8c9; --light-2: #9fd0ee; --light-3: #f7c98d;
    --light-4: #c3e0ab; --on-dark: #ffffff; --on-light: #10151b; --before: #f0a35e; --after: #6eb0f5; --target: #ff8f92;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body {
  margin: 0; background: var(--page); color: var(--text); font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", "Noto Sans", "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums; overflow-wrap: break-word;
}
.page { max-width: 1290px; margin: 0 auto; padding: 56px 32px 96px; }
header { max-width: 840px; margin-bottom: 40px; }
h1 { font-size: 2.1rem; line-height: 1.2; font-weight: 650; letter-spacing: -0.015em; margin: 0 0 10px; }
h2 { font-size: 1.45rem; line-height: 1.3; font-weight: 650; letter-spacing: -0.01em; margin: 0 0 20px; }
h3 { font-size: 1.05rem; line-height: 1.4; font-weight: 650; margin: 40px 0 12px; }
p { margin: 0 0 16px; max-width: 70ch; }
ul { margin: 0 0 16px; padding-left: 20px; max-width: 70ch; }
li { margin-bottom: 6px; }
a { color: var(--accent); text-decoration-thickness: 1px; text-underline-offset: 3px; }
code { font: 0.88em ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; background: var(--sunken);
  padding: 2px 5px; border-radius: 4px; overflow-wrap: anywhere; }
.subtitle { color: var(--muted); margin: 0; }
nav ol { list-style: none; margin: 0; padding: 0; }
nav a { color: var(--muted); text-decoration: none; display: block; padding: 4px 0; font-size: 0.9rem; }
nav a:hover { color: var(--text); text-decoration: underline; }
main { min-width: 0; }
section { background: var(--surface); border: 1px solid var(--line); border-radius: 14px; padding: 36px 40px 28px;
  margin-bottom: 28px; scroll-margin-top: 20px; }
.lead p { font-size: 1.16rem; line-height: 1.62; max-width: 64ch; margin-bottom: 14px; }
.key-figures { display: grid; grid-template-columns: repeat(6, 1fr); gap: 14px; margin: 28px 0 8px;
  padding: 0; }
.key-figures div { background: var(--sunken); border-radius: 10px; padding: 16px 18px; }
.key-figures dt { color: var(--muted); font-size: 0.86rem; margin-bottom: 4px; }
.key-figures dd { margin: 0; }
.key-figures .after { font-size: 1.5rem; line-height: 1.3; font-weight: 650; letter-spacing: -0.01em; }
.key-figures .before { color: var(--muted); font-size: 0.9rem; }
.key-figures .change { font-size: 0.9rem; font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); } .neutral { color: var(--muted); }
.tone { display: inline-block; font-size: 0.84rem; font-weight: 600; line-height: 1.35; padding: 2px 9px; border-radius: 9px;
  background: var(--neutral-tint); color: var(--text); white-space: nowrap; }
.tone.good { background: var(--good-tint); color: var(--good); } .tone.bad { background: var(--bad-tint); color: var(--bad); }
.measured { font-size: 0.72em; white-space: nowrap; vertical-align: 0.25em; margin-left: 4px; letter-spacing: 0.01em; }
.measured a { color: var(--muted); text-decoration: none; border-bottom: 1px dotted var(--axis); }
.measured a:hover { color: var(--accent); }
td .measured { display: block; font-size: 0.8em; vertical-align: 0; margin-left: 0; }
td code { overflow-wrap: break-word; }
.table { overflow-x: auto; margin: 0 0 22px; }
table { border-collapse: collapse; width: 100%; font-size: 0.91rem; line-height: 1.5; }
th { text-align: left; font-weight: 600; color: var(--muted); font-size: 0.84rem; vertical-align: bottom; }
th, td { padding: 9px 18px 9px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
tr:last-child td { border-bottom: 0; }
.small table { width: auto; min-width: min(100%, 560px); } .small th, .small td { padding-right: 36px; }
.right { text-align: right; }
td.right { white-space: nowrap; }
tr:target td { background: var(--good-tint); }
.long table { font-size: 0.84rem; min-width: 820px; } .long td:nth-child(3), .long td:nth-child(4) { min-width: 230px; }
.long td:first-child { font-weight: 600; } .long td:last-child { min-width: 96px; }
pre { background: var(--sunken); border-radius: 10px; padding: 14px 18px; margin: 0 0 22px; overflow-x: auto;
  font: 0.86rem/1.75 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre code { background: none; padding: 0; font: inherit; white-space: pre; overflow-wrap: normal; }
figure { margin: 36px 0 30px; }
figure h3 { margin: 0 0 4px; }
figcaption { color: var(--muted); font-size: 0.92rem; margin-bottom: 18px; max-width: 70ch; }
details { margin-top: 14px; font-size: 0.94rem; }
summary { cursor: pointer; color: var(--muted); font-size: 0.88rem; padding: 4px 0; }
details .table { margin-top: 8px; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg.wide { max-width: 860px; }
svg.narrow { display: none; max-width: 460px; }
svg text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "DejaVu Sans", sans-serif;
  fill: var(--text); font-variant-numeric: tabular-nums; }
svg text.muted { fill: var(--muted); } svg text.strong { font-weight: 650; } svg text.target-text { fill: var(--target); }
svg text.halo { paint-order: stroke; stroke: var(--halo); stroke-width: 4px; stroke-linejoin: round; }
.grid { stroke: var(--grid); } .axis { stroke: var(--axis); } .target { stroke: var(--target); stroke-dasharray: 6 4; stroke-width: 1.5; }
.connector { stroke: var(--axis); stroke-dasharray: 2 3; } .pin { fill: var(--axis); }
.segment { stroke: var(--surface); stroke-width: 1.5; }
.stage-read { fill: var(--light-1); } .stage-decode { fill: var(--dark-1); } .stage-preprocess { fill: var(--light-2); }
.stage-wait { fill: var(--surface); stroke: var(--axis); stroke-dasharray: 4 3; }
.stage-infer { fill: var(--dark-2); } .stage-postprocess { fill: var(--light-3); } .stage-track { fill: var(--dark-3); }
.stage-publish { fill: var(--light-4); } .stage-other { fill: var(--light-1); }
.stage-unaccounted { fill: var(--sunken); stroke: var(--axis); stroke-dasharray: 1 2; }
svg text.on-stage-decode, svg text.on-stage-infer, svg text.on-stage-track { fill: var(--on-dark); font-weight: 600; }
svg text.on-stage-read, svg text.on-stage-preprocess, svg text.on-stage-postprocess, svg text.on-stage-publish,
svg text.on-stage-other { fill: var(--on-light); font-weight: 600; }
.bar-gain { fill: var(--after); } .bar-loss { fill: none; stroke: var(--before); stroke-width: 2; }
.mark-total { fill: var(--text); } .mark-predicted { stroke: var(--text); stroke-width: 2; }
.curve { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
.curve.series-1 { stroke: var(--before); stroke-dasharray: 7 4; } .curve.series-2 { stroke: var(--after); }
.dot { stroke: var(--surface); stroke-width: 1.5; } .dot.series-1 { fill: var(--before); } .dot.series-2 { fill: var(--after); }
.busy-decode { stroke: var(--after); } .busy-preprocess { stroke: var(--good); stroke-dasharray: 8 4; }
.busy-infer { stroke: var(--before); stroke-width: 4; } .busy-main { stroke: var(--muted); stroke-dasharray: 2 3; }
.discarded { fill: var(--neutral-tint); stroke: var(--axis); stroke-dasharray: 2 3; stroke-width: 0.75; }
.front { fill: none; stroke: var(--after); stroke-width: 1.5; opacity: 0.75; }
.mark-front { fill: var(--surface); stroke: var(--after); stroke-width: 2; } .mark-best { fill: var(--after); stroke: var(--after); }
.mark-baseline { fill: var(--before); } .mark-refused { fill: var(--surface); stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 3 2; }
svg text.on-best { fill: var(--surface); font-weight: 700; } svg text.on-baseline { fill: var(--surface); font-weight: 700; }
@media (min-width: 641px), print {
  .key-figures div { grid-column: span 2; }
  .count-1 div { grid-column: span 6; } .count-2 div, .count-4 div, .count-5 div:nth-child(n+4) { grid-column: span 3; }
}
@media (min-width: 1100px) {
  .columns { display: grid; grid-template-columns: minmax(0, 1fr) 176px; gap: 36px; }
  nav { order: 2; } nav ol { position: sticky; top: 32px; border-left: 1px solid var(--line); padding-left: 18px; }
}
@media (max-width: 1099px) {
  nav { margin-bottom: 28px; } nav ol { display: flex; flex-wrap: wrap; gap: 2px 20px; }
}
@media (max-width: 640px) {
  body { font-size: 15.5px; }
  .page { padding: 28px 14px 56px; }
  header { margin-bottom: 24px; padding: 0 4px; } nav { padding: 0 4px; }
  h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; }
  section { padding: 24px 18px 16px; border-radius: 12px; margin-bottom: 16px; }
  .lead p { font-size: 1.05rem; }
  .key-figures { grid-template-columns: 1fr 1fr; gap: 10px; } .key-figures div { padding: 12px; }
  .key-figures div:last-child:nth-child(odd) { grid-column: span 2; }
  .key-figures .after { font-size: 1.12rem; }
  svg.wide { display: none; } svg.narrow { display: block; }
  .cards thead { display: none; }
  .cards table, .cards tbody, .cards tr, .cards td { display: block; width: auto; }
  .cards tr { border: 1px solid var(--line); border-radius: 10px; padding: 6px 14px; margin-bottom: 12px; }
  .cards td { padding: 6px 0; border: 0; text-align: left; white-space: normal; }
  .cards td.right, .cards td:has(.tone) { display: flex; justify-content: space-between; gap: 18px; text-align: right; }
  .cards td::before { content: attr(data-title); display: block; color: var(--muted); font-size: 0.84rem; font-weight: 400;
    text-align: left; flex: 0 0 34%; }
  .cards td:first-child { font-weight: 600; } .cards td:first-child:not(.right)::before { display: none; }
  .cards td .measured { display: inline; margin-left: 6px; font-weight: 400; }
  .cards td > span { min-width: 0; }
  .cards td:empty, .cards td.blank { display: none; }
}
@media print {
  :root { color-scheme: light; --page: #ffffff; }
  body { font-size: 10.5pt; background: none; } .page { padding: 0; max-width: none; } nav, details > summary { display: none; }
  .columns { display: block; }
  section { border: 0; padding: 0; margin-bottom: 26pt; } h2, h3 { break-after: avoid; } figure, tr, .key-figures { break-inside: avoid; }
  .table { overflow: visible; } pre code { white-space: pre-wrap; } a { color: inherit; }
  .long table { font-size: 7.5pt; min-width: 0; } .long td:nth-child(n) { min-width: 0; }
  svg.wide { display: block; } svg.narrow { display: none; }
}
`;
