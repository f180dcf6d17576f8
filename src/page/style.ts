/** The style sheet of the page. No font, no picture and nothing else comes from anywhere. */
import { SVG_STYLE } from '../render/svg-style.ts'

export const STYLE = `${SVG_STYLE}
* { box-sizing: border-box; }
html { background: var(--gw-paper); color: var(--gw-ink); font: 15px/1.45 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 1120px; padding: 0 20px 48px; }
header { display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: baseline; padding: 14px 0; border-bottom: 1px solid var(--gw-line); }
header a { font-weight: 700; text-decoration: none; }
h1 { font-size: 20px; margin: 20px 0 4px; overflow-wrap: anywhere; }
.pod { display: flex; flex-wrap: wrap; gap: 4px 16px; justify-content: space-between; align-items: baseline; }
h2.pod { font-size: 18px; margin-top: 44px; padding-top: 20px; border-top: 2px solid var(--gw-line); }
h2, h3 { font-size: 16px; margin: 28px 0 8px; }
a { color: var(--gw-pod); }
a:focus-visible, summary:focus-visible, .scroll:focus-visible, input:focus-visible, select:focus-visible, button:focus-visible {
  outline: 2px solid var(--gw-pod); outline-offset: 2px;
}
.skip { position: absolute; left: -999px; }
.skip:focus { left: 20px; top: 4px; background: var(--gw-paper); }
p { margin: 6px 0; max-width: 90ch; overflow-wrap: anywhere; }
.quiet { color: var(--gw-quiet); }
.good { color: var(--gw-good); }
.warning { color: var(--gw-warning); }
.bad { color: var(--gw-bad); }
.unknown { color: var(--gw-unknown); }
.verdict { font-weight: 700; font-size: 15px; border: 1.5px solid currentColor; border-radius: 4px; padding: 1px 8px; white-space: nowrap; }
.problem { border-left: 4px solid var(--gw-warning); padding-left: 12px; }
form { display: flex; flex-wrap: wrap; gap: 10px 14px; align-items: end; margin: 16px 0; }
label { display: grid; gap: 2px; font-size: 13px; color: var(--gw-quiet); }
input, select, button { font: inherit; color: var(--gw-ink); background: var(--gw-paper); border: 1px solid var(--gw-quiet); border-radius: 4px; padding: 4px 8px; max-width: 100%; height: 30px; box-sizing: border-box; }
button { cursor: pointer; font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--gw-quiet); padding: 4px 0; }
th, td { text-align: left; padding: 5px 14px 5px 0; border-bottom: 1px solid var(--gw-line); vertical-align: top; }
th { font-size: 13px; color: var(--gw-quiet); font-weight: 600; white-space: nowrap; }
li, summary { overflow-wrap: anywhere; }
td { overflow-wrap: break-word; }
td.time, td.number { white-space: nowrap; }
tr.here td { background: color-mix(in srgb, var(--gw-pod) 12%, transparent); }
tr.new td { animation: arrive 3s; }
@keyframes arrive { from { background: color-mix(in srgb, var(--gw-pod) 30%, transparent); } }
@media (prefers-reduced-motion: reduce) { tr.new td { animation: none; } }
.finding { border-left: 4px solid var(--gw-quiet); padding: 2px 0 2px 12px; margin: 10px 0; }
.finding.warning { border-color: var(--gw-warning); }
.finding p { color: var(--gw-ink); }
.finding h3, .finding h4 { font-size: 15px; margin: 0; overflow-wrap: anywhere; }
figure { margin: 16px 0; }
figure svg { display: block; min-width: 720px; max-width: 100%; height: auto; }
pre { overflow-x: auto; font: 13px/1.4 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; border: 1px solid var(--gw-line); border-radius: 4px; padding: 12px; }
summary { cursor: pointer; font-weight: 600; }
@media (max-width: 760px) {
  body { padding: 0 12px 32px; }
  .wide { display: none; }
  td.time { white-space: normal; min-width: 11ch; }
}
`
