package workerchannel

// A jsonText is canonical JSON being written. A digest has methods that hash the same text without writing it, and a
// canonicalReader reads it.
type jsonText []byte

// object appends an object of a shape.
func (t jsonText) object(o *shape, f *flatOp) jsonText {
	for i, m := range o.members {
		t = append(t, o.text[i]...)
		switch m.kind() {
		case kNumber:
			t = t.number(*f.number(m))
		case kText:
			t = t.str(*f.text(m))
		case kOptional:
			if f.optional == nil {
				t = append(t, "null"...)
			} else {
				t = t.str(*f.optional)
			}
		case kPayload:
			t = t.bytes(f.payload)
		case kState:
			t = t.str(f.state.wire())
		case kLevel:
			t = t.str(f.level.String())
		case kOutcome:
			t = t.object(&outcomeShapes[f.status], f)
		}
	}
	return append(t, o.text[len(o.members)]...)
}

// str appends a string.
func (t jsonText) str(text string) jsonText {
	t = append(t, '"')
	start := 0
	for i := range len(text) {
		if e := escape(text[i]); e != "" {
			t = append(append(t, text[start:i]...), e...)
			start = i + 1
		}
	}
	return append(append(t, text[start:]...), '"')
}

// escape returns the escape of a character that canonical JSON escapes; "" for any other.
func escape(c byte) string {
	if int(c) < len(escapes) {
		return escapes[c]
	}
	return ""
}

// escapes has the escape of each character that canonical JSON escapes.
var escapes = func() (t ['\\' + 1]string) {
	const hex = "0123456789abcdef"
	for c := range ' ' {
		t[c] = `\u00` + hex[c>>4:c>>4+1] + hex[c&15:c&15+1]
	}
	t['\b'], t['\t'], t['\n'], t['\f'], t['\r'] = `\b`, `\t`, `\n`, `\f`, `\r`
	t['"'], t['\\'] = `\"`, `\\`
	return t
}()

// marshalOp returns the canonical JSON of an operation alone.
func marshalOp(op Op) ([]byte, error) {
	var f flatOp
	f.set(op)
	if err := f.check(); err != nil {
		return nil, err
	}
	return jsonText(nil).object(&opShapes[f.typ], &f), nil
}

// marshalOutcome returns the canonical JSON of an outcome alone.
func marshalOutcome(outcome Outcome) ([]byte, error) {
	var f flatOp
	f.set(JobCompleted{Outcome: outcome})
	if err := f.check(); err != nil {
		return nil, err
	}
	return jsonText(nil).object(&outcomeShapes[f.status], &f), nil
}

// MarshalJSON returns the operation as it is on the wire: see Op.
func (op BootstrapReady) MarshalJSON() ([]byte, error) { return marshalOp(op) }

// MarshalJSON returns the operation as it is on the wire: see Op.
func (op BootstrapFailed) MarshalJSON() ([]byte, error) { return marshalOp(op) }

// MarshalJSON returns the operation as it is on the wire: see Op.
func (op SpawnJob) MarshalJSON() ([]byte, error) { return marshalOp(op) }

// MarshalJSON returns the operation as it is on the wire: see Op.
func (op PollStatus) MarshalJSON() ([]byte, error) { return marshalOp(op) }

// MarshalJSON returns the operation as it is on the wire: see Op.
func (op StatusSnapshot) MarshalJSON() ([]byte, error) { return marshalOp(op) }

// MarshalJSON returns the operation as it is on the wire: see Op.
func (op JobCompleted) MarshalJSON() ([]byte, error) { return marshalOp(op) }

// MarshalJSON returns the operation as it is on the wire: see Op.
func (op CancelJob) MarshalJSON() ([]byte, error) { return marshalOp(op) }

// MarshalJSON returns the operation as it is on the wire: see Op.
func (op CancelAcknowledged) MarshalJSON() ([]byte, error) { return marshalOp(op) }

// MarshalJSON returns the operation as it is on the wire: see Op.
func (op DrainJob) MarshalJSON() ([]byte, error) { return marshalOp(op) }

// MarshalJSON returns the operation as it is on the wire: see Op.
func (op DrainCompleted) MarshalJSON() ([]byte, error) { return marshalOp(op) }

// MarshalJSON returns the operation as it is on the wire: see Op.
func (op FinalizeJob) MarshalJSON() ([]byte, error) { return marshalOp(op) }

// MarshalJSON returns the operation as it is on the wire: see Op.
func (op FinalizeCompleted) MarshalJSON() ([]byte, error) { return marshalOp(op) }

// MarshalJSON returns the operation as it is on the wire: see Op.
func (op ShutdownWorker) MarshalJSON() ([]byte, error) { return marshalOp(op) }

// MarshalJSON returns the operation as it is on the wire: see Op.
func (op ShutdownCompleted) MarshalJSON() ([]byte, error) { return marshalOp(op) }

// MarshalJSON returns the operation as it is on the wire: see Op.
func (op Diagnostic) MarshalJSON() ([]byte, error) { return marshalOp(op) }

// MarshalJSON returns the outcome as it is on the wire: see Outcome.
func (o OutcomeOk) MarshalJSON() ([]byte, error) { return marshalOutcome(o) }

// MarshalJSON returns the outcome as it is on the wire: see Outcome.
func (o OutcomeErr) MarshalJSON() ([]byte, error) { return marshalOutcome(o) }

// MarshalJSON returns the outcome as it is on the wire: see Outcome.
func (o OutcomeCancelled) MarshalJSON() ([]byte, error) { return marshalOutcome(o) }

// MarshalJSON returns the outcome as it is on the wire: see Outcome.
func (o OutcomePanicked) MarshalJSON() ([]byte, error) { return marshalOutcome(o) }
