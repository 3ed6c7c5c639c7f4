// Package hostile sends bytes that no honest program would send to the gateway
// and to serve, and has servers behind serve that answer with such bytes: ways to
// smuggle a request past whoever counts them, or a response to somebody else. It
// has tests only.
//
// The cases are in testdata, in the form that [readCases] describes. What they
// hide is a second request, or a second response. The inner handler has to see
// one request or none, and the client as many responses as it sent requests.
package hostile
