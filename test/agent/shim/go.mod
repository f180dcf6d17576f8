module gracewatch.dev/gracewatch/test/agent/shim

go 1.24.0
