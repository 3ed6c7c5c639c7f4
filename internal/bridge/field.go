package bridge

import (
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// section is a place where fields stand, each with rules of its own.
type section int

const (
	requestHead section = iota
	responseHeader
	interimHeader
	trailerSection
)

// forbids reports whether a field must not stand in a frame's section. In the
// others it is dropped.
func (s section) forbids(name string) bool {
	switch name {
	case "Transfer-Encoding":
		return s == requestHead || s == responseHeader
	case "Host":
		return s == requestHead
	default:
		return false
	}
}

// drops reports whether a field is left out where it stands; the name is in
// canonical form.
func (s section) drops(name, value string) bool {
	switch {
	case hopByHop(name):
		return true
	case name == "Te":
		return s != requestHead || !strings.EqualFold(value, "trailers")
	case s == interimHeader:
		return name == "Content-Length"
	case s == trailerSection:
		return !httpguts.ValidTrailerHeader(name)
	default:
		return false
	}
}

// Limits bounds what the other end may put into a head or a trailer section.
type Limits struct {
	// HeadBytes bounds the sum of all names, values and the request target, with
	// 32 bytes more for each field, as RFC 9113 § 6.5.2 counts.
	HeadBytes int
	// Fields bounds the number of fields.
	Fields int
}

// fieldOverhead is what a field counts beyond its name and value [RFC 9113 §
// 6.5.2], so that many empty fields are not free.
const fieldOverhead = 32

// exceededBy says which limit a section is over, "" if none.
func (l Limits) exceededBy(fields []*culvertv1.Field, size int) string {
	if len(fields) > l.Fields {
		return fmt.Sprintf("%d fields are over the limit of %d", len(fields), l.Fields)
	}
	if size += sizeOfFields(fields); size > l.HeadBytes {
		return fmt.Sprintf("%d bytes are over the limit of %d", size, l.HeadBytes)
	}
	return ""
}

// sizeOfFields returns what fields count against [Limits].HeadBytes.
func sizeOfFields(fields []*culvertv1.Field) int {
	size := 0
	for _, field := range fields {
		size += len(field.GetName()) + len(field.GetValue()) + len(field.GetRawValue()) + fieldOverhead
	}
	return size
}

// decodeFields checks the fields of a frame and returns them as net/http has
// them, without those that do not cross a hop. The error is about what the peer
// sent.
func decodeFields(fields []*culvertv1.Field, where section) (http.Header, error) {
	header := make(http.Header, len(fields))
	values := make([]string, len(fields)) // one allocation for all, as net/textproto does it
	var nominated []string
	for _, field := range fields {
		name, value, err := decodeField(field)
		if err != nil {
			return nil, err
		}
		if where.forbids(name) {
			return nil, fmt.Errorf("field %q is not allowed in a frame", name)
		}
		if name == "Connection" {
			nominated = append(nominated, value)
		}
		if name == "Te" && httpguts.HeaderValuesContainsToken([]string{value}, "trailers") {
			value = "trailers"
		}
		if where.drops(name, value) {
			continue
		}
		if earlier := header[name]; earlier != nil {
			header[name] = append(earlier, value)
			continue
		}
		var one []string
		one, values = values[:1:1], values[1:]
		one[0] = value
		header[name] = one
	}
	dropNominated(header, nominated)
	return header, nil
}

func decodeField(field *culvertv1.Field) (name, value string, err error) {
	name, value = field.GetName(), field.GetValue()
	if raw := field.GetRawValue(); len(raw) > 0 {
		if value != "" {
			return "", "", fmt.Errorf("field %q has both a value and a raw value", name)
		}
		value = string(raw)
	}
	if !httpguts.ValidHeaderFieldName(name) {
		return "", "", fmt.Errorf("field name %q is not a token", clip(name))
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return "", "", fmt.Errorf("value of field %q has a control character", clip(name))
	}
	return textproto.CanonicalMIMEHeaderKey(name), textproto.TrimString(value), nil
}

// hopByHop reports whether a field belongs to one hop only [RFC 9110 § 7.6.1].
// The name is in canonical form.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade":
		return true
	default:
		return false
	}
}

// dropNominated deletes what the values of Connection fields name.
func dropNominated(header http.Header, connection []string) {
	for _, value := range connection {
		for option := range strings.SplitSeq(value, ",") {
			name := textproto.CanonicalMIMEHeaderKey(textproto.TrimString(option))
			switch name {
			case "Te":
				continue // what is left of it, trailers, is true of the tunnel as well
			case "Content-Length":
				continue // it is about the body, and must not get out of being checked
			}
			delete(header, name)
		}
	}
}

// fieldList builds the fields of a frame in one block.
type fieldList struct {
	block []culvertv1.Field
	list  []*culvertv1.Field
	valid bool // what addHeader adds has been checked

	blockRoom [fieldRoom]culvertv1.Field
	listRoom  [fieldRoom]*culvertv1.Field
}

// fieldRoom is how many fields a list has room for without memory of their own.
const fieldRoom = 12

var fieldLists = sync.Pool{New: func() any { return new(fieldList) }}

// newFieldList returns a list, which has to be released.
func newFieldList(capacity int) *fieldList {
	l := fieldLists.Get().(*fieldList)
	l.block, l.list, l.valid = l.blockRoom[:0], l.listRoom[:0], false
	if capacity > fieldRoom {
		l.block = make([]culvertv1.Field, 0, capacity)
		l.list = make([]*culvertv1.Field, 0, capacity)
	}
	return l
}

// release lets the list be used again. Nothing that it has given out may be in
// use.
func (l *fieldList) release() {
	clear(l.blockRoom[:])
	clear(l.listRoom[:])
	l.block, l.list = nil, nil
	fieldLists.Put(l)
}

// add appends a field. What cannot stand in a message is mended or left out, as
// net/http's servers do: line breaks become spaces, a field whose name is not a
// token or whose value has control characters is dropped.
func (l *fieldList) add(name, value string) {
	if !httpguts.ValidHeaderFieldName(name) {
		return
	}
	if strings.ContainsAny(value, "\r\n") {
		value = lineBreaks.Replace(value)
	}
	if httpguts.ValidHeaderFieldValue(value) {
		l.addValid(name, value)
	}
}

// addValid appends a field that can stand in a message.
func (l *fieldList) addValid(name, value string) {
	value = textproto.TrimString(value)
	if len(l.block) == cap(l.block) {
		l.block = make([]culvertv1.Field, 0, 2*cap(l.block)+4) // those in the list stay where they are
	}
	l.block = append(l.block, culvertv1.Field{})
	field := &l.block[len(l.block)-1]
	field.Name = name
	if utf8.ValidString(value) {
		field.Value = value
	} else {
		field.RawValue = []byte(value)
	}
	l.list = append(l.list, field)
}

var lineBreaks = strings.NewReplacer("\n", " ", "\r", " ")

// addHeader appends the fields of header that a section takes, in the order of
// their names, but for those that skip names.
func (l *fieldList) addHeader(where section, header http.Header, skip func(name string) bool) {
	var room [16]string
	names := room[:0]
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	connection := header["Connection"]
	for _, name := range names {
		if skip != nil && skip(name) || nominates(connection, name) {
			continue
		}
		canonical := textproto.CanonicalMIMEHeaderKey(name) // a handler can set any key
		for _, value := range header[name] {
			if canonical == "Te" && httpguts.HeaderValuesContainsToken([]string{value}, "trailers") {
				value = "trailers"
			}
			switch {
			case where.drops(canonical, value):
			case l.valid:
				l.addValid(name, value)
			default:
				l.add(name, value)
			}
		}
	}
}

// nominates reports whether the values of Connection fields name a field.
func nominates(connection []string, name string) bool {
	if len(connection) == 0 || name == "Te" {
		return false
	}
	return httpguts.HeaderValuesContainsToken(connection, name)
}

// encodeFields returns the fields of header that a section takes.
func encodeFields(where section, header http.Header) []*culvertv1.Field {
	if len(header) == 0 {
		return nil
	}
	list := newFieldList(len(header))
	defer list.release()
	list.addHeader(where, header, nil)
	return cloneFields(list.list)
}

// cloneFields returns a copy of fields that will be used again.
func cloneFields(fields []*culvertv1.Field) []*culvertv1.Field {
	if len(fields) == 0 {
		return nil
	}
	block := make([]culvertv1.Field, len(fields))
	list := make([]*culvertv1.Field, len(fields))
	for i, field := range fields {
		block[i].Name, block[i].Value, block[i].RawValue = field.GetName(), field.GetValue(), field.GetRawValue()
		list[i] = &block[i]
	}
	return list
}

// clip shortens what a peer sent for an error text.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
