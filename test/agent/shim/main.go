// A shim as containerd's is one, and nothing more: a subreaper that runs the runtime's commands, one JSON array a line on its standard
// input, and waits for whatever becomes its child. It answers each command with the status that it ended with, and tells of the end of
// every other child.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"syscall"
)

const prSetChildSubreaper = 36

func main() {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
		fmt.Fprintln(os.Stderr, "no subreaper:", errno)
		os.Exit(1)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	var mutex sync.Mutex
	commands := map[int]bool{}
	started := sync.NewCond(&mutex)
	// How many commands were started, and how many had been when there was no child any more: one may start just as that is found.
	forks, idleAt := 0, 0
	go func() {
		for {
			mutex.Lock()
			for forks == idleAt {
				started.Wait()
			}
			known := forks
			mutex.Unlock()
			var status syscall.WaitStatus
			pid, err := syscall.Wait4(-1, &status, 0, nil)
			if err == syscall.EINTR {
				continue
			}
			mutex.Lock()
			if err == syscall.ECHILD {
				idleAt = known
			} else {
				line, _ := json.Marshal(map[string]any{"pid": pid, "command": commands[pid], "code": status.ExitStatus(), "signal": int(status.Signal())})
				delete(commands, pid)
				fmt.Println(string(line))
			}
			mutex.Unlock()
		}
	}()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var argv []string
		if err := json.Unmarshal(lines.Bytes(), &argv); err != nil {
			panic(err)
		}
		mutex.Lock()
		pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
			Env:   os.Environ(),
			Files: []uintptr{null.Fd(), os.Stderr.Fd(), os.Stderr.Fd()},
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, argv[0], err)
			os.Exit(1)
		}
		commands[pid] = true
		forks++
		started.Signal()
		mutex.Unlock()
	}
}
