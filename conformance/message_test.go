package main

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestMessageFields(t *testing.T) {
	creds := message(nil).appendBytes(credsCert, []byte("cert")).appendBytes(credsKey, []byte("key"))
	request := message(nil).
		appendVarint(serverRequestHTTPVersion, 1).
		appendVarint(serverRequestUseTLS, 1).
		appendBytes(serverRequestServerCreds, creds).
		appendBytes(99, []byte("of a later version")).
		appendVarint(serverRequestHTTPVersion, httpVersion2)

	if version, err := request.varint(serverRequestHTTPVersion); version != httpVersion2 || err != nil {
		t.Errorf("the HTTP version is %d, %v, want the last value, %d", version, err, httpVersion2)
	}
	if limit, err := request.varint(6); limit != 0 || err != nil {
		t.Errorf("a field that is not there is %d, %v, want 0", limit, err)
	}
	found, err := serverCredentials(request)
	if err != nil || string(found.cert) != "cert" || string(found.key) != "key" {
		t.Errorf("serverCredentials() = %v, %v", found, err)
	}

	plain, err := request.without(serverRequestUseTLS, serverRequestServerCreds)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := serverCredentials(plain); found != nil || err != nil {
		t.Errorf("serverCredentials() without TLS = %v, %v, want nil", found, err)
	}
	if unknown, err := plain.bytes(99); string(unknown) != "of a later version" || err != nil {
		t.Errorf("an unknown field is %q, %v after without()", unknown, err)
	}
}

func TestMessageThatIsBroken(t *testing.T) {
	for _, broken := range []message{{0x80}, {0x12, 5, 'a'}, {0x10}, {0x07}} {
		if _, err := broken.varint(1); err == nil {
			t.Errorf("varint() of % x succeeded", []byte(broken))
		}
		if _, err := broken.without(1); err == nil {
			t.Errorf("without() of % x succeeded", []byte(broken))
		}
	}
}

func TestMessagesOnAPipe(t *testing.T) {
	var pipe bytes.Buffer
	want := []message{{}, message(nil).appendVarint(2, 7), bytes.Repeat([]byte("x"), 100_000)}
	for _, m := range want {
		if err := writeMessage(&pipe, m); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range want {
		if got, err := readMessage(&pipe); !bytes.Equal(got, m) || err != nil {
			t.Fatalf("readMessage() = %d bytes, %v, want %d bytes", len(got), err, len(m))
		}
	}
	if _, err := readMessage(&pipe); err != io.EOF {
		t.Errorf("readMessage() at the end: %v, want EOF", err)
	}
}

func TestReadMessageRefuses(t *testing.T) {
	for name, input := range map[string]string{
		"cut length":  "\x00\x00",
		"cut message": "\x00\x00\x00\x05abc",
		"no message":  "\x00\x00\x00\x05",
		"too large":   "\xff\xff\xff\xff",
	} {
		if _, err := readMessage(bytes.NewReader([]byte(input))); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: error %v, want one that is not the end", name, err)
		}
	}
}
