/**
 * Colours and faces of the drawings. A picture that stands alone carries this as its style; the page serves it as a style sheet,
 * since its policy allows no inline styles. Light and dark follow the reader's system.
 */
const LIGHT = {
  paper: '#ffffff',
  ink: '#1b2430',
  quiet: '#566070',
  line: '#c3cad4',
  pod: '#1f5fbf',
  good: '#14703a',
  warning: '#8a5200',
  bad: '#b3261e',
  unknown: '#5b6470',
}
const DARK: typeof LIGHT = {
  paper: '#12161c',
  ink: '#e6e9ee',
  quiet: '#a3adba',
  line: '#46505e',
  pod: '#7db0ff',
  good: '#5ecb8a',
  warning: '#f0b155',
  bad: '#ff8a80',
  unknown: '#a9b2be',
}

export const PALETTES = { light: LIGHT, dark: DARK }

const variables = (palette: typeof LIGHT) =>
  Object.entries(palette)
    .map(([name, value]) => `--gw-${name}: ${value};`)
    .join(' ')

const TONES = ['good', 'warning', 'bad', 'unknown', 'quiet'] as const

export const SVG_STYLE = `
:root { color-scheme: light dark; ${variables(LIGHT)} }
@media (prefers-color-scheme: dark) { :root { ${variables(DARK)} } }
.gw { font: 13px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; --tone: var(--gw-ink); }
.gw text { fill: var(--tone); white-space: pre; }
.gw .paper { fill: var(--gw-paper); }
.gw .strong { font-weight: 700; }
.gw .small { font-size: 11px; }
.gw .end { text-anchor: end; }
.gw .middle { text-anchor: middle; }
.gw .plain { --tone: var(--gw-ink); }
${TONES.map((tone) => `.gw .${tone} { --tone: var(--gw-${tone}); }`).join('\n')}
.gw .pod-tone { --tone: var(--gw-pod); }
.gw .grid { stroke: var(--gw-line); stroke-width: 1; }
.gw .frame { fill: none; stroke: var(--tone); stroke-width: 1.5; }
.gw .frame.open { stroke-dasharray: 6 3; }
.gw .deadline { stroke: var(--gw-warning); stroke-width: 1.5; stroke-dasharray: 4 4; }
.gw .wash { fill: var(--tone); fill-opacity: 0.1; }
.gw .hook { fill: var(--tone); fill-opacity: 0.22; }
.gw .band { fill: var(--tone); fill-opacity: 0.3; }
.gw .bar { stroke: var(--tone); stroke-width: 5; }
.gw .thin { stroke: var(--tone); stroke-width: 2; }
.gw .dotted { stroke: var(--tone); stroke-width: 2; stroke-dasharray: 1 5; }
.gw .sign { fill: var(--tone); stroke: var(--tone); stroke-width: 1.5; }
.gw .hollow { fill: var(--gw-paper); stroke: var(--tone); stroke-width: 1.5; }
.gw .cross { fill: none; stroke: var(--tone); stroke-width: 3; }
.gw .touch { fill: transparent; }
.gw .mark { cursor: default; outline: none; }
.gw .mark .ring { fill: none; stroke: none; }
.gw .mark:hover .ring, .gw .mark:focus .ring { stroke: var(--gw-ink); stroke-width: 2; }
.gw .told { visibility: hidden; }
.gw .mark:hover .told, .gw .mark:focus .told { visibility: visible; }
.gw:has(.mark:hover) .hint, .gw:has(.mark:focus) .hint { visibility: hidden; }
.gw:has(.mark:hover) .mark:focus:not(:hover) .told { visibility: hidden; }
`
