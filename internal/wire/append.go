package wire

import (
	"google.golang.org/protobuf/encoding/protowire"

	culvertv1 "github.com/culvert-http/culvert/api/culvert/v1"
)

// AppendRequest appends frame to b, as [AppendRequestMeta] and the data after it
// do. Its strings must be valid UTF-8, which it does not look at.
func AppendRequest(b []byte, frame *culvertv1.RequestFrame) []byte {
	return append(AppendRequestMeta(b, frame, len(frame.GetData())), frame.GetData()...)
}

// AppendRequestMeta appends all of frame but its data, whose size in bytes is
// given and which has to follow.
func AppendRequestMeta(b []byte, frame *culvertv1.RequestFrame, data int) []byte {
	if head := frame.GetHead(); head != nil {
		b = protowire.AppendVarint(appendTag(b, requestHead, protowire.BytesType), uint64(sizeOfRequestHead(head)))
		b = appendRequestHead(b, head)
	}
	b = appendFlag(b, frameEnd, frame.GetEnd())
	b = appendFields(b, frameTrailers, frame.GetTrailers())
	return appendDataTag(b, data)
}

// AppendResponse is AppendRequest for the other direction.
func AppendResponse(b []byte, frame *culvertv1.ResponseFrame) []byte {
	return append(AppendResponseMeta(b, frame, len(frame.GetData())), frame.GetData()...)
}

// AppendResponseMeta is AppendRequestMeta for the other direction.
func AppendResponseMeta(b []byte, frame *culvertv1.ResponseFrame, data int) []byte {
	if head := frame.GetHead(); head != nil {
		size := sizeOfNumber(uint64(head.GetStatus())) + sizeOfFields(head.GetHeaders()) + sizeOfString(head.GetUpgrade())
		b = protowire.AppendVarint(appendTag(b, responseHead, protowire.BytesType), uint64(size))
		b = appendNumber(b, responseStatus, uint64(head.GetStatus()))
		b = appendFields(b, responseHeaders, head.GetHeaders())
		b = appendString(b, responseUpgrade, head.GetUpgrade())
	}
	b = appendFlag(b, frameEnd, frame.GetEnd())
	b = appendFields(b, frameTrailers, frame.GetTrailers())
	for _, head := range frame.GetInformational() {
		size := sizeOfNumber(uint64(head.GetStatus())) + sizeOfFields(head.GetHeaders())
		b = protowire.AppendVarint(appendTag(b, responseInformational, protowire.BytesType), uint64(size))
		b = appendNumber(b, responseStatus, uint64(head.GetStatus()))
		b = appendFields(b, responseHeaders, head.GetHeaders())
	}
	b = appendFlag(b, responseAccepted, frame.GetAccepted())
	return appendDataTag(b, data)
}

// appendDataTag appends what comes before the data. It is last, so that the data
// itself can be appended to it, or sent after it.
func appendDataTag(b []byte, size int) []byte {
	if size == 0 {
		return b
	}
	return protowire.AppendVarint(appendTag(b, frameData, protowire.BytesType), uint64(size))
}

func sizeOfRequestHead(head *culvertv1.RequestHead) int {
	return sizeOfString(head.GetMethod()) +
		sizeOfString(head.GetScheme()) +
		sizeOfString(head.GetAuthority()) +
		sizeOfString(head.GetPath()) +
		sizeOfBytes(head.GetRawPath()) +
		sizeOfFields(head.GetHeaders()) +
		sizeOfNumber(uint64(head.GetHttpVersion())) + //nolint:gosec // protobuf extends signs like that
		sizeOfString(head.GetUpgrade()) +
		sizeOfString(head.GetClientAddress()) +
		sizeOfFlag(head.GetNotifyAccepted()) +
		sizeOfNumber(head.GetTimeoutMs())
}

func appendRequestHead(b []byte, head *culvertv1.RequestHead) []byte {
	b = appendString(b, requestMethod, head.GetMethod())
	b = appendString(b, requestScheme, head.GetScheme())
	b = appendString(b, requestAuthority, head.GetAuthority())
	b = appendString(b, requestPath, head.GetPath())
	b = appendBytes(b, requestRawPath, head.GetRawPath())
	b = appendFields(b, requestHeaders, head.GetHeaders())
	b = appendNumber(b, requestHTTPVersion, uint64(head.GetHttpVersion())) //nolint:gosec // protobuf extends signs like that
	b = appendString(b, requestUpgrade, head.GetUpgrade())
	b = appendString(b, requestClientAddress, head.GetClientAddress())
	b = appendFlag(b, requestNotifyAccepted, head.GetNotifyAccepted())
	return appendNumber(b, requestTimeout, head.GetTimeoutMs())
}
