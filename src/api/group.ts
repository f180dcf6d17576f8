/** Where the custom resources live. Free of schemas, for programs that only name them. */
export const GROUP = 'gracewatch.dev'
export const VERSION = 'v1alpha1'
export const API_VERSION = `${GROUP}/${VERSION}`
