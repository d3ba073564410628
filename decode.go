package workerchannel

import (
	"bytes"
	"math"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// ParseEnvelope reads one envelope from any JSON text of the right meaning (PROTOCOL section 3) and
// validates it (section 5). A text that is no envelope is a *ParseError with the place; what does not
// validate is answered as by Validate. The envelope aliases nothing of data.
func ParseEnvelope(data []byte) (Envelope, error) {
	r := reader{data: data, verifying: true}
	if err := r.verify(); err != nil {
		return Envelope{}, err
	}
	return r.env, nil
}

// Verify is ParseEnvelope, with the result kept as proof for HandleVerified. It touches nothing
// shared, so that any number of goroutines may verify at once.
func Verify(data []byte) (Verified, error) {
	r := reader{data: data, verifying: true}
	if err := r.verify(); err != nil {
		return Verified{}, err
	}
	return Verified{r.env}, nil
}

// UnmarshalJSON reads an envelope from any JSON text of the right meaning and does not validate it:
// its digest, for one, may be wrong. On an error the envelope stays as it was.
func (e *Envelope) UnmarshalJSON(data []byte) error {
	r := reader{data: data}
	if err := r.read(); err != nil {
		return err
	}
	*e = r.env
	return nil
}

// maxDepth is how deep objects and arrays may nest, the envelope being the first level.
const maxDepth = 127

// A reader reads one envelope. It takes the members in any order, and is fast when they come as
// canonical text has them: then what leads up to each value is taken at one go, and the digest is taken from
// the very text of the operation. Whatever is not canonical only turns that off.
type reader struct {
	data  []byte
	pos   int
	depth int   // of the object or array at pos
	err   error // the first failure, which ends the reading

	env     Envelope // without Op until all has been read
	op      fields
	headers int // how many numbers of the Header have been read

	verifying bool // a digest is wanted
	canonical bool // so far, the operation's text is canonical and digest covers it up to summed
	digested  bool // digest is that of the whole message
	digest    digest
	summed    int
}

// read reads the envelope.
func (r *reader) read() error {
	r.object(&envelopeShape)
	r.space()
	if r.pos < len(r.data) {
		r.fail("nothing may follow the envelope")
	}
	if r.err == nil {
		r.env.Op = r.op.op()
	}
	return r.err
}

// verify reads the envelope and validates it.
func (r *reader) verify() error {
	if err := r.read(); err != nil {
		return err
	}
	if err := r.env.checkVersion(); err != nil {
		return err
	}
	hash := uint64(r.digest)
	if !r.digested {
		hash = replayHash(&r.env.Header, r.env.WorkerID, &r.op)
	}
	return r.env.checkSealed(&r.op, hash)
}

func (r *reader) fail(cause string) { r.failAt(r.pos, cause) }

func (r *reader) failAt(offset int, cause string) {
	r.failWith(&ParseError{Offset: offset, Cause: cause})
}

// failWith keeps the first failure, and ends the text there so that all reading comes to a stop.
func (r *reader) failWith(err error) {
	if r.err == nil {
		r.err, r.data, r.pos, r.canonical = err, nil, 0, false
	}
}

// peek returns the next byte; at the end 0, which begins nothing in JSON.
func (r *reader) peek() byte {
	if r.pos < len(r.data) {
		return r.data[r.pos]
	}
	return 0
}

// take goes past a text if it comes next.
func (r *reader) take(text string) bool {
	if end := r.pos + len(text); end <= len(r.data) && string(r.data[r.pos:end]) == text {
		r.pos = end
		return true
	}
	return false
}

func (r *reader) expect(c byte, cause string) {
	if r.peek() == c {
		r.pos++
	} else {
		r.fail(cause)
	}
}

func (r *reader) space() {
	for {
		switch r.peek() {
		case ' ', '\t', '\n', '\r':
			r.pos++
			r.canonical = false
		default:
			return
		}
	}
}

// object reads an object of the shape.
func (r *reader) object(o *shape) {
	start := r.pos
	r.depth++
	var seen uint32 // a bit for each member
	if r.take(o.open) {
		seen = 1 << o.tag
		for i, m := range o.members {
			if r.take(o.lead[i]) {
				seen |= 1 << m
				r.value(m)
				r.sum()
			} else if m != mEnvelopeWorker { // which canonical text leaves out when absent
				break
			}
		}
	}
	seen &^= 1 << mNone
	for name, ok := r.name(seen != 0); ok; name, ok = r.name(true) {
		m := o.find(name)
		switch {
		case m == mNone:
			r.skip()
		case seen&(1<<m) != 0:
			r.fail("the member " + m.String() + " is given twice")
		default:
			seen |= 1 << m
			r.value(m)
		}
	}
	for _, m := range o.members {
		if seen&(1<<m) == 0 {
			r.absent(m, start)
		}
	}
	r.depth--
}

// absent notes that the object at start ended without the member.
func (r *reader) absent(m member, start int) {
	switch m {
	case mEnvelopeWorker:
	case mDetail, mMetadata:
		r.canonical = false // canonical text has a null
	default:
		r.failAt(start, "the member "+m.String()+" is missing")
	}
}

// name goes past what stands between two values of an object, and returns the name of the next
// member; false if there is none. The brace that opens the object is part of it unless open.
func (r *reader) name(open bool) (name []byte, ok bool) {
	r.space()
	if !open {
		r.expect('{', "an object is needed")
		r.space()
	}
	switch {
	case r.take("}"):
		return nil, false
	case open:
		r.expect(',', "a comma or the end of the object is needed")
		r.space()
	}
	r.canonical = false // in canonical text object takes the names
	name = r.textBytes()
	r.space()
	r.expect(':', "a colon is needed")
	return name, r.err == nil
}

// tag returns the value of the member that tells what the object that comes next is, wherever in the
// object it stands, and goes past nothing.
func (r *reader) tag(m member) (tag []byte, at int) {
	start, canonical := r.pos, r.canonical
	for name, ok := r.name(false); ok; name, ok = r.name(true) {
		if string(name) == m.String() {
			r.space()
			at = r.pos
			if tag = r.textBytes(); r.err == nil {
				r.pos, r.canonical = start, canonical
			}
			return tag, at
		}
		r.skip()
	}
	r.failAt(start, "the member "+m.String()+" is missing")
	return nil, start
}

// likelyTag returns what tag would, if the object begins with the tag and the tag is a name without escapes.
// It checks nothing else: what is not a name that the caller knows is for tag to judge.
func (r *reader) likelyTag(m member) []byte {
	start := r.pos
	var tag []byte
	if r.take(`{"`) && r.take(m.String()) && r.take(`":"`) {
		tag, _, _ = bytes.Cut(r.data[r.pos:], []byte{'"'})
	}
	r.pos = start
	return tag
}

// value reads the value of a member.
func (r *reader) value(m member) {
	r.space()
	switch m {
	case mVersion:
		r.env.Version = uint32(r.uint(math.MaxUint32))
	case mMessageID:
		r.env.MessageID = r.header()
	case mSeqNo:
		r.env.SeqNo = r.header()
	case mDecisionSeq:
		r.env.DecisionSeq = r.header()
	case mSeed:
		r.env.Seed = r.header()
	case mIssuedAtTurn:
		r.env.IssuedAtTurn = r.header()
	case mEnvelopeWorker:
		r.env.WorkerID = r.optionalText()
		r.digested = false // if the operation came first, its digest began without the id
	case mReplayHash:
		r.env.ReplayHash = r.uint(math.MaxUint64)
	case mOp:
		r.operation()
	case mType, mStatus:
		r.textBytes() // tag has told it
	case mWorkerID:
		r.op.workerID = r.text()
	case mReason:
		r.op.reason = r.text()
	case mCode:
		r.op.code = r.text()
	case mCategory:
		r.op.category = r.text()
	case mMessage:
		r.op.message = r.text()
	case mJobID:
		r.op.jobID = r.uint(math.MaxUint64)
	case mRegionID:
		r.op.regionID = r.uint(math.MaxUint64)
	case mTaskID:
		r.op.taskID = r.uint(math.MaxUint64)
	case mObligationID:
		r.op.obligationID = r.uint(math.MaxUint64)
	case mPayload:
		r.op.payload = r.payload()
	case mState:
		at := r.pos
		if r.op.state.UnmarshalText(r.textBytes()) != nil {
			r.failAt(at, "an unknown job state")
		}
	case mDetail, mMetadata:
		r.op.optional = r.optionalText()
	case mOutcome:
		r.outcome()
	case mLevel:
		at := r.pos
		l := slices.Index(levels[:], string(r.textBytes()))
		if l < 0 {
			r.failAt(at, "an unknown level")
		}
		r.op.level = Level(l)
	}
}

// header reads one of the numbers with which the digest begins.
func (r *reader) header() uint64 {
	r.headers++
	return r.uint(math.MaxUint64)
}

func (r *reader) operation() {
	if r.verifying && r.headers == 5 {
		r.canonical = true
		r.digest, r.summed = newDigest(&r.env.Header, r.env.WorkerID), r.pos
	}
	t := opNamed(r.likelyTag(mType))
	if t == 0 {
		name, at := r.tag(mType)
		if t = opNamed(name); t == 0 {
			r.failAt(at, "an unknown operation type")
			return
		}
	}
	r.op.typ = t
	r.object(&opTable[t].shape)
	r.sum()
	r.digested, r.canonical = r.canonical, false
}

func (r *reader) outcome() {
	s := outcomeNamed(r.likelyTag(mStatus))
	if s == 0 {
		name, at := r.tag(mStatus)
		if s = outcomeNamed(name); s == 0 {
			r.failAt(at, "an unknown outcome status")
			return
		}
	}
	r.op.status = s
	r.object(&outcomeTable[s].shape)
}

// sum takes the digest up to pos, if it still can be taken from the text.
func (r *reader) sum() {
	if r.canonical {
		r.digest = chain(r.digest, r.data[r.summed:r.pos])
		r.summed = r.pos
	}
}

// payload reads an array of bytes. It takes memory for as many as the commas promise, up to the limit.
func (r *reader) payload() []byte {
	r.expect('[', "an array of bytes is needed")
	r.space()
	if r.take("]") {
		return []byte{}
	}
	rest, _, _ := bytes.Cut(r.data[r.pos:], []byte{']'})
	promised := bytes.Count(rest, []byte{','}) + 1
	payload := make([]byte, 0, min(promised, MaxPayloadBytes))
	r.sum()
	payload = r.payloadRun(payload)
	for r.err == nil {
		r.space()
		at := r.pos
		b := byte(r.uint(math.MaxUint8))
		if len(payload) == MaxPayloadBytes {
			r.failWith(&ParseError{Offset: at, Err: &PayloadError{promised, MaxPayloadBytes}})
			return nil
		}
		payload = append(payload, b)
		r.space()
		if r.take("]") {
			return payload
		}
		r.expect(',', "a comma or the end of the array is needed")
	}
	return nil
}

// payloadRun reads elements for as long as they are canonical and another may follow. The digest goes
// along behind: its chain of multiplications leaves most of the processor idle, and there is no branch
// here that random bytes could make it guess wrong.
func (r *reader) payloadRun(payload []byte) []byte {
	text, i, d, summed := r.data, r.pos, r.digest, r.summed
	if !r.canonical {
		summed = len(text) // nobody wants the digest
	}
	for i+3 < len(text) && len(payload) < cap(payload) {
		q := text[i : i+4 : i+4]
		x := uint32(q[0]) | uint32(q[1])<<8 | uint32(q[2])<<16 | uint32(q[3])<<24
		more := x >> 12 & 1 // digits after the first: a digit has bit 4, a comma has not
		more += x >> 20 & more
		shift := (16 - 8*more) & 31
		x <<= shift // now the last digit and the comma are on top
		b := byte(x & 0x0f0f0f * (100<<16 | 10<<8 | 1) >> 16)
		if x != elements[b]<<shift { // all that a bad element could be is told by what it should be
			break
		}
		payload = append(payload, b)
		i += 2 + int(more)
		if summed+3 <= i {
			d = d.byte(text[summed]).byte(text[summed+1]).byte(text[summed+2])
			summed += 3
		}
	}
	r.pos, r.digest, r.summed = i, d, summed
	return payload
}

// uint reads a plain integer up to a limit.
func (r *reader) uint(limit uint64) (n uint64) {
	const most, last = math.MaxUint64 / 10, math.MaxUint64 % 10
	start, i := r.pos, r.pos
	for ; i < len(r.data); i++ {
		d := uint64(r.data[i] - '0')
		if d > 9 {
			break
		}
		if n > most || n == most && d > last {
			r.failAt(start, "the number is out of range")
			return 0
		}
		n = n*10 + d
	}
	r.pos = i
	switch c := r.peek(); {
	case r.pos == start:
		r.fail("a plain integer is needed")
	case r.pos > start+1 && r.data[start] == '0':
		r.failAt(start, "the number has a leading zero")
	case c == '.' || c == 'e' || c == 'E':
		r.failAt(start, "a plain integer is needed, without fraction or exponent")
	case n > limit:
		r.failAt(start, "the number is out of range")
	}
	return n
}

func (r *reader) optionalText() *string {
	if r.take("null") {
		return nil
	}
	s := r.text()
	return &s
}

func (r *reader) text() string { return string(r.textBytes()) }

// textBytes reads a text. What it returns may alias data.
func (r *reader) textBytes() []byte {
	raw, escaped := r.scanText()
	if !escaped || r.err != nil {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		next := bytes.IndexByte(raw, '\\')
		if next < 0 {
			next = len(raw)
		}
		out, raw = append(out, raw[:next]...), raw[next:]
		if len(raw) > 0 {
			c, n := unescape(raw)
			out, raw = utf8.AppendRune(out, c), raw[n:]
		}
	}
	return out
}

// scanText goes past a text, and returns what stands between its quotes and whether there are escapes in
// it. All that is to be refused in a text is refused here.
func (r *reader) scanText() (raw []byte, escaped bool) {
	r.expect('"', "a text is needed")
	start, ascii := r.pos, true
	for i := start; i < len(r.data); {
		switch c := r.data[i]; {
		case c == '"':
			r.pos = i + 1
			if raw = r.data[start:i]; !ascii && !utf8.Valid(raw) {
				r.failAt(start, "the text is not well-formed UTF-8")
			}
			return raw, escaped
		case c == '\\':
			char, n := unescape(r.data[i:])
			if n == 0 {
				r.failAt(i, "a bad escape or an unpaired surrogate")
				return nil, false
			}
			r.canonical = r.canonical && isCanonicalEscape(char, r.data[i:i+n])
			escaped = true
			i += n
		case c < ' ':
			r.failAt(i, "a control character in a text")
			return nil, false
		default:
			ascii = ascii && c < utf8.RuneSelf
			i++
		}
	}
	r.failAt(len(r.data), "the text does not end")
	return nil, false
}

func isCanonicalEscape(c rune, text []byte) bool {
	return c < rune(len(escapes)) && escapes[c] == string(text)
}

// unescape decodes the escape that text begins with and tells how long it is; 0 if it is none.
func unescape(text []byte) (c rune, n int) {
	if len(text) < 2 {
		return 0, 0
	}
	switch e := text[1]; e {
	case '"', '\\', '/':
		return rune(e), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	unit, ok := codeUnit(text)
	switch {
	case !ok:
		return 0, 0
	case !utf16.IsSurrogate(unit):
		return unit, 6
	}
	low, _ := codeUnit(text[6:])
	if c = utf16.DecodeRune(unit, low); c == utf8.RuneError {
		return 0, 0
	}
	return c, 12
}

// codeUnit decodes the \uXXXX that text begins with.
func codeUnit(text []byte) (u rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range text[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		u = u<<4 | rune(c)
	}
	return u, true
}

// skip goes past any JSON value.
func (r *reader) skip() {
	r.space()
	switch c := r.peek(); {
	case c == '"':
		r.scanText()
	case c == '{' || c == '[':
		if r.depth++; r.depth > maxDepth {
			r.fail("objects and arrays nest too deep")
		}
		if c == '{' {
			r.skipObject()
		} else {
			r.skipArray()
		}
		r.depth--
	case c == '-' || '0' <= c && c <= '9':
		r.skipNumber()
	case r.take("true"), r.take("false"), r.take("null"):
	default:
		r.fail("a value is needed")
	}
}

func (r *reader) skipObject() {
	for _, ok := r.name(false); ok; _, ok = r.name(true) {
		r.skip()
	}
}

func (r *reader) skipArray() {
	r.expect('[', "an array is needed")
	r.space()
	if r.take("]") {
		return
	}
	for r.err == nil {
		r.skip()
		r.space()
		if r.take("]") {
			return
		}
		r.expect(',', "a comma or the end of the array is needed")
	}
}

func (r *reader) skipNumber() {
	r.take("-")
	if !r.take("0") {
		r.skipDigits()
	}
	if r.take(".") {
		r.skipDigits()
	}
	if r.take("e") || r.take("E") {
		if !r.take("+") {
			r.take("-")
		}
		r.skipDigits()
	}
}

func (r *reader) skipDigits() {
	start := r.pos
	for c := r.peek(); '0' <= c && c <= '9'; c = r.peek() {
		r.pos++
	}
	if r.pos == start {
		r.fail("a digit is needed")
	}
}
