/** Longest lists of the field `kernel`; free of schemas, for the agent that keeps to them. */
export const MAX_KERNEL_CONTAINERS = 512
export const MAX_PROCESSES = 32
export const MAX_SIGNALS = 64
export const MAX_GAPS = 16
export const MAX_OOM_KILLS = 8
export const MAX_NOTES = 8
