import type { Objects } from './objects.ts'

/** A cluster in which Gracewatch runs, and where the demo may make its namespace. */
export interface Target {
  readonly objects: Objects
  readonly namespace: string
  /** What the pods run from. */
  readonly image: string
  /** Where Gracewatch writes records that cannot stand in their pod's namespace. */
  readonly systemNamespace: string
  /** An agent on every node measures how the pods end. */
  readonly agent: boolean
}
