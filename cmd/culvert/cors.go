package main

import (
	"fmt"

	"github.com/culvert-http/culvert/internal/server"
)

// corsFlags let web pages of other origins in.
type corsFlags struct {
	CORSOrigin      []string `name:"cors-origin" help:"Origin whose web pages may use the RPCs, such as https://app.example; * lets every page." placeholder:"ORIGIN" group:"Web pages"`
	CORSHeader      []string `name:"cors-header" help:"Field that they may send beside those of the protocols, such as Authorization." placeholder:"NAME" group:"Web pages"`
	CORSCredentials bool     `name:"cors-credentials" help:"Let them send cookies and client certificates." group:"Web pages"`
}

func (f *corsFlags) cors() server.CORS {
	return server.CORS{Origins: f.CORSOrigin, Headers: f.CORSHeader, Credentials: f.CORSCredentials}
}

func (f *corsFlags) validate() error {
	cors := f.cors()
	if err := cors.Validate(); err != nil {
		return fmt.Errorf("--cors-origin: %w", err)
	}
	return nil
}
