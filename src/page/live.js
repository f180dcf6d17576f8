// What the page does in a browser beyond HTML: new rows appear by themselves, and an open record is shown anew when it changed.
// Everything is set as text: the page's policy lets no string become markup.
const WAIT_MS = 3000

const state = document.querySelector('#live')
const list = document.querySelector('tbody[data-events]')
const record = document.querySelector('main[data-events]')
const target = list ?? record

/** @param {{text: string, tone?: string, href?: string, classes?: string, time?: string}} cell */
function cellOf(cell) {
  const td = document.createElement('td')
  td.className = [cell.classes, cell.tone].filter(Boolean).join(' ')
  let holder = td
  if (cell.href !== undefined || cell.time !== undefined) {
    holder = document.createElement(cell.href === undefined ? 'time' : 'a')
    if (cell.href !== undefined) holder.href = cell.href
    if (cell.time !== undefined) holder.dateTime = cell.time
    td.append(holder)
  }
  holder.textContent = cell.text
  return td
}

function show(row) {
  const old = list.querySelector(`tr[data-uid="${CSS.escape(row.uid)}"]`)
  const tr = document.createElement('tr')
  tr.dataset.uid = row.uid
  tr.dataset.at = String(row.at)
  tr.append(...row.cells.map(cellOf))
  // Who stands on a row with the keyboard stays on it.
  const focused = old?.contains(document.activeElement) ?? false
  if (old === null) tr.className = 'new'
  old?.remove()
  const next = [...list.rows].find((other) => Number(other.dataset.at) < row.at)
  list.insertBefore(tr, next ?? null)
  if (focused) tr.querySelector('a')?.focus()
  while (list.rows.length > Number(list.dataset.most)) list.rows[list.rows.length - 1].remove()
}

function say(text) {
  if (state !== null) state.textContent = text
}

if (target instanceof HTMLElement) {
  const source = new EventSource(target.dataset.events)
  source.addEventListener('open', () => say('live'))
  source.addEventListener('error', () => {
    say('connection lost, trying again')
    // A browser tries again by itself, unless it was refused.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), WAIT_MS)
  })
  source.addEventListener('row', (event) => {
    if (list !== null) show(JSON.parse(event.data))
  })
  source.addEventListener('gone', (event) => {
    list?.querySelector(`tr[data-uid="${CSS.escape(JSON.parse(event.data).uid)}"]`)?.remove()
  })
  source.addEventListener('anew', () => location.reload())
}
