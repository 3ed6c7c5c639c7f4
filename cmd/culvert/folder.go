package main

import (
	"errors"
	"io/fs"
	"syscall"
)

// confined is the file system of an os.Root, in which a link that leads outside is
// forbidden, as a file without permission is. The error of os.Root for it has no
// name, and a file server would call it an internal error.
type confined struct{ fs.FS }

// Open implements fs.FS.
func (c confined) Open(name string) (fs.File, error) {
	file, err := c.FS.Open(name)
	if err == nil {
		return file, nil
	}
	pathErr, ok := errors.AsType[*fs.PathError](err)
	if ok && !fromSystem(pathErr.Err) {
		return nil, &fs.PathError{Op: pathErr.Op, Path: pathErr.Path, Err: fs.ErrPermission}
	}
	return nil, err
}

func fromSystem(err error) bool {
	_, ok := errors.AsType[syscall.Errno](err)
	return ok || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrClosed)
}
