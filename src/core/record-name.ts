/** Names of records and values of their labels. */

const MAX_NAME = 253

/** FNV-1a of 32 bits as 8 hex digits: tells two long names apart, guards nothing. */
function hash(text: string): string {
  let value = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193)
  return (value >>> 0).toString(16).padStart(8, '0')
}

const trim = (text: string): string => text.replace(/[-.]+$/, '')

/**
 * Pod name cut to 244, a dot, the first 8 of the UID: the same for every write of the same termination.
 *
 * @param full the whole UID instead of its first 8, for the case that another pod's record holds the short name
 * @param prefix namespace of the pod, where the record cannot stand in it
 */
export function recordName(pod: { name: string; uid: string }, options: { full?: boolean; prefix?: string } = {}): string {
  const suffix = `.${options.full === true ? pod.uid : pod.uid.slice(0, 8)}`
  const whole = options.prefix === undefined ? pod.name : `${options.prefix}.${pod.name}`
  const room = Math.min(options.prefix === undefined ? 244 : MAX_NAME, MAX_NAME - suffix.length)
  return `${trim(whole.slice(0, room))}${suffix}`
}

/** A label value: at most 63 characters; the longer ones as their first 54, a dash and a hash of the whole. */
export function labelValue(text: string): string {
  return text.length <= 63 ? text : `${text.slice(0, 54)}-${hash(text)}`
}
