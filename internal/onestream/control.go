package onestream

import (
	"encoding/binary"
	"errors"

	"golang.org/x/net/http2"
)

// goAway is what a server has said that goes.
type goAway struct {
	last  uint32
	code  http2.ErrCode
	debug []byte
}

// maxDebug is how much of what a server says as it goes is kept, in bytes.
const maxDebug = 256

func (c *conn) takeSettings(f frame) error {
	if err := f.ofConn(); err != nil {
		return err
	}
	if f.flags.Has(http2.FlagSettingsAck) {
		return f.hasLength(0)
	}
	if f.length%settingLength != 0 {
		return f.hasLength(0)
	}
	c.greeted = true
	for ; f.length > 0; f.length -= settingLength {
		setting, err := c.input.take(settingLength)
		if err != nil {
			return err
		}
		id, value := http2.SettingID(binary.BigEndian.Uint16(setting)), binary.BigEndian.Uint32(setting[2:])
		if err := c.applySetting(id, value); err != nil {
			return err
		}
	}
	return c.answer(appendFrame(nil, http2.FrameSettings, http2.FlagSettingsAck, 0))
}

func (c *conn) applySetting(id http2.SettingID, value uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &c.credit
	switch id { //nolint:exhaustive // the others say nothing about a single request
	case http2.SettingInitialWindowSize:
		if value > maxWindow {
			return violated(http2.ErrCodeFlowControl, "an initial window of %d bytes", value)
		}
		w.stream += int64(value) - w.initial
		w.initial = int64(value)
		if w.stream > maxWindow {
			return violated(http2.ErrCodeFlowControl, "a window of %d bytes", w.stream)
		}
	case http2.SettingMaxFrameSize:
		if value < minMaxFrame || value >= 1<<24 {
			return violated(http2.ErrCodeProtocol, "frames of up to %d bytes", value)
		}
		w.frame = int(value)
	case http2.SettingEnablePush:
		if value != 0 { // § 6.5.2
			return violated(http2.ErrCodeProtocol, "ENABLE_PUSH of a server is %d", value)
		}
	}
	c.sendable.Broadcast()
	return nil
}

func (c *conn) takeCredit(f frame) error {
	if err := f.hasLength(4); err != nil {
		return err
	}
	if f.stream != 0 {
		if err := f.ofStream(); err != nil {
			return err
		}
	}
	word, err := c.input.take(4)
	if err != nil {
		return err
	}
	more := int64(binary.BigEndian.Uint32(word) &^ (1 << 31))
	c.mu.Lock()
	defer c.mu.Unlock()
	window := &c.credit.conn
	if f.stream != 0 {
		window = &c.credit.stream
	}
	if more == 0 {
		return violated(http2.ErrCodeProtocol, "credit of 0 bytes")
	}
	if *window += more; *window > maxWindow {
		return violated(http2.ErrCodeFlowControl, "a window of %d bytes", *window)
	}
	c.sendable.Broadcast()
	return nil
}

func (c *conn) takePing(f frame) error {
	if err := f.ofConn(); err != nil {
		return err
	}
	if err := f.hasLength(pingLength); err != nil {
		return err
	}
	ping, err := c.input.take(pingLength)
	if err != nil || f.flags.Has(http2.FlagPingAck) {
		return err
	}
	return c.answer(append(appendFrameHeader(nil, pingLength, http2.FramePing, http2.FlagPingAck, 0), ping...))
}

func (c *conn) takeReset(f frame) error {
	if err := f.ofStream(); err != nil {
		return err
	}
	if err := f.hasLength(4); err != nil {
		return err
	}
	word, err := c.input.take(4)
	if err != nil {
		return err
	}
	code := http2.ErrCode(binary.BigEndian.Uint32(word))
	if code == http2.ErrCodeRefusedStream && c.response == nil {
		return ErrNotProcessed
	}
	return http2.StreamError{StreamID: streamID, Code: code, Cause: errFromServer}
}

var errFromServer = errors.New("received from peer")

func (c *conn) takeGoAway(f frame) error {
	if err := f.ofConn(); err != nil {
		return err
	}
	if f.length < 8 {
		return f.hasLength(8)
	}
	words, err := c.input.take(8)
	if err != nil {
		return err
	}
	away := &goAway{
		last: binary.BigEndian.Uint32(words) &^ (1 << 31),
		code: http2.ErrCode(binary.BigEndian.Uint32(words[4:])),
	}
	debug, err := c.input.take(min(f.length-8, maxDebug))
	if err != nil {
		return err
	}
	away.debug = append(away.debug, debug...)
	if err := c.input.skip(f.length - 8 - len(debug)); err != nil {
		return err
	}
	c.mu.Lock()
	before := c.away
	c.away = away
	c.mu.Unlock()
	switch {
	case before != nil && away.last > before.last:
		return violated(http2.ErrCodeProtocol, "it has gone at stream %d, and now at %d", before.last, away.last)
	case away.last >= streamID:
		return nil
	case c.response == nil:
		return ErrNotProcessed
	default:
		return violated(http2.ErrCodeProtocol, "it has not processed a request that it has answered")
	}
}
