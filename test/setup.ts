/**
 * Properties are checked on the same cases in every run, so that a change is judged by itself and not by its luck. Others are tried
 * with GRACEWATCH_SEED=random, which prints the seed of a failure, or with GRACEWATCH_SEED=NUMBER.
 */
import fc from 'fast-check'

const wanted = process.env.GRACEWATCH_SEED ?? '20261124'
if (wanted !== 'random') fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(wanted) })
