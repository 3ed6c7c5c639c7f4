package session

// What a session may keep of parts that nobody has read is bounded, and what the
// other end may still send counts as kept. Within the bound the session's credit
// comes back when a part arrives, and not when it is read: exchanges that are not
// read fill their own windows, and leave the others what they need.

// isDue reports whether to give the session credit: half of what the other end is
// to have, but no piece that is smaller than a part.
func (s *Session) isDue() bool {
	if s.allowance > s.sizes.sessionWindow/2 {
		return false
	}
	target := s.target()
	owed := target - s.allowance
	return target > 0 && owed >= s.sizes.grant && owed >= target/2
}

// target is what the other end should be able to send.
func (s *Session) target() int64 {
	return min(s.sizes.sessionWindow, s.config.MaxBytes-s.held)
}

// hold counts a part that is kept.
func (x *Exchange) hold(cost int64) {
	s := x.session
	if x.held == 0 {
		x.readAt = s.span
	}
	x.held += cost
	s.held += cost
	s.returned()
	s.relieve()
}

// release counts what was read or dropped.
func (x *Exchange) release(cost int64) {
	x.held -= cost
	x.session.held -= cost
	x.session.returned()
}

// returned sees whether there is credit to give to the session.
func (s *Session) returned() {
	if s.isDue() {
		s.wakeWriter()
	}
}

// consumed gives an exchange credit for what was read, in large pieces.
func (x *Exchange) consumed(cost int64) {
	s := x.session
	x.readAt = s.span
	if x.recvEnd || x.stopped || x.closed {
		return
	}
	if x.ungranted += cost; x.ungranted >= x.window/2 && !x.due {
		x.due = true
		x.grow()
		s.grants = append(s.grants, x)
		s.wakeWriter()
	}
}

// appendGrants gives credit for all that has been taken since the last batch.
func (s *Session) appendGrants() {
	if s.isDue() {
		target := s.target()
		s.appendCredit(0, target-s.allowance)
		s.allowance = target
	}
	for _, x := range s.grants {
		x.due = false
		if x.recvEnd || x.stopped || x.closed || x.err != nil {
			continue
		}
		s.appendCredit(x.id, x.ungranted)
		x.allowance += x.ungranted
		x.ungranted = 0
	}
	clear(s.grants)
	s.grants = s.grants[:0]
}
