/**
 * Cleanup on a real API server beside Kubernetes' own controllers, with the rights of deploy/cleanup. The tests run side by side, most of them
 * with one controller that looks after all of their namespaces: what one of them does must not matter to another.
 */
import { protections } from './protections.ts'
import { races } from './races.ts'
import { endedBefore, records } from './records.ts'
import { replicas } from './replicas.ts'
import { rules } from './rules.ts'
import { useShared } from './shared.ts'
import { threshold } from './threshold.ts'

const shared = useShared('cleanup', endedBefore)

// Those that take longest come first.
threshold(shared)
rules(shared)
races(shared)
records(shared)
replicas(shared)
protections(shared)
