module gracewatch.dev/gracewatch/test/cluster/pause

go 1.24.0
