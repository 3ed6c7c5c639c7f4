package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
)

// profile begins the profiles that are asked for. What it returns writes them.
func (c *config) profile(cells int) (finish func() error, err error) {
	if c.cpuProfile == "" && c.memProfile == "" {
		return func() error { return nil }, nil
	}
	if cells != 1 {
		return nil, fmt.Errorf("a profile is of one cell, and -run chooses %d", cells)
	}
	stop := func() error { return nil }
	if c.cpuProfile != "" {
		if stop, err = startCPUProfile(c.cpuProfile); err != nil {
			return nil, err
		}
	}
	if c.memProfile != "" {
		runtime.MemProfileRate = 4 << 10 // before what it is about
	}
	return func() error { return errors.Join(stop(), writeAllocations(c.memProfile)) }, nil
}

func startCPUProfile(path string) (stop func() error, err error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("create profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("start profile: %w", err), file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}

func writeAllocations(path string) error {
	if path == "" {
		return nil
	}
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("create profile: %w", err)
	}
	runtime.GC()
	if err := pprof.Lookup("allocs").WriteTo(file, 0); err != nil {
		return errors.Join(fmt.Errorf("write profile: %w", err), file.Close())
	}
	return file.Close()
}
