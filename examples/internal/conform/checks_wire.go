package conform

import (
	"slices"

	wc "github.com/workerchannel/workerchannel"
)

// everyString has what section 3 escapes and what it does not.
const everyString = "\"\\\x00\x01\b\t\n\f\r\x1b\x1f /<>&'\x7f\u0080\u00e9\u2028\u2029\ufeff\uffff\U0001f600\U0010ffff\\u0041"

// wireChecks are about the bytes that the half writes, the digest, and what it reads of every operation.
func wireChecks(half string) []Check {
	if half == WorkerHalf {
		return slices.Concat(workerWireChecks(), []Check{
			{"wire/read", "3", "every operation of a coordinator is read in full", script(`
				announce => BootstrapReady
				> SpawnJob 18446744073709551615 b00ff0a640a
				> SpawnJob 9007199254740993 b
				> PollStatus 9007199254740995
				> CancelJob 18446744073709551615 "é \"quoted\""
				acknowledge_cancel 18446744073709551615 => CancelAcknowledged
				> DrainJob 18446744073709551615
				complete_drain 18446744073709551615 => DrainCompleted
				> FinalizeJob 18446744073709551615
				> ShutdownWorker ""`)},
			{"wire/read-strings", "3", "every string is read as it is", script(`
				announce => BootstrapReady
				> CancelJob 1 ` + quoted + `
				> CancelJob 1 ""
				> ShutdownWorker ` + quoted)},
			{"wire/read-integers", "3", "every number of a job is read in 64 bits", script(`
				> SpawnJob 1 b 18446744073709551615 9007199254740993 9223372036854775809
				> SpawnJob 2 b 9223372036854775807 18446744073709551614 9007199254740995
				> SpawnJob 3 b 0 0 0`)},
			{"wire/read-long", "3", "strings may be long", script(`
				sizes > CancelJob 1 s*%
				sizes > ShutdownWorker s*%`)},
			{"wire/read-forms", "3", "characters are not normalized: é and e with an accent are two strings", script(`
				> CancelJob 1 ` + forms + `
				> ShutdownWorker ` + forms)},
			{"digest/header", "4", "the digest covers every number of the envelope, in 64 bits", script(headers("PollStatus 1"))},
			{"digest/damaged", "5", "a damaged message is refused", script(`
				> digest=bad PollStatus 1 => refused ReplayHashMismatch
				> PollStatus 1`)},
			{"validate/order", "5", "validation has its order: version, digest, identity", script(`
				> version=2 digest=bad worker="w" PollStatus 1 => refused VersionMismatch
				> version=0 PollStatus 1 => refused VersionMismatch
				> version=4294967295 PollStatus 1 => refused VersionMismatch
				> digest=bad worker="w" PollStatus 1 => refused ReplayHashMismatch
				> worker="w" PollStatus 1 => refused UnexpectedWorkerIdentity
				> worker="" PollStatus 1 => refused UnexpectedWorkerIdentity
				> w worker=- ShutdownCompleted => refused MissingWorkerIdentity
				> w worker="v" BootstrapReady => refused WorkerIdentityMismatch
				> w worker="" BootstrapFailed => refused WorkerIdentityMismatch`)},
		})
	}
	return slices.Concat(coordinatorWireChecks(), []Check{
		{"wire/read", "3", "every operation of a worker is read in full", script(`
			> w1 BootstrapReady
			spawn_job 18446744073709551615 0 0 0 b => SpawnJob
			> w1 StatusSnapshot 18446744073709551615 Queued -
			> w1 StatusSnapshot 18446744073709551615 Running ""
			> w1 StatusSnapshot 18446744073709551615 Running "é"
			> w1 JobCompleted 18446744073709551615 Ok b00ff0a640a
			spawn_job 2 0 0 0 b => SpawnJob
			> w1 JobCompleted 2 Err "code" "message"
			spawn_job 3 0 0 0 b => SpawnJob
			> w1 JobCompleted 3 Cancelled "given up"
			spawn_job 4 0 0 0 b => SpawnJob
			> w1 JobCompleted 4 Panicked "message"
			spawn_job 5 0 0 0 b => SpawnJob
			cancel_job 5 "x" => CancelJob
			> w1 CancelAcknowledged 5 => DrainJob
			> w1 DrainCompleted 5 => FinalizeJob
			> w1 FinalizeCompleted 5
			> w1 Diagnostic Info "c" "m" -
			> w1 Diagnostic Warn "" "" ""
			> w1 Diagnostic Error "c" "m" "meta"
			> w1 ShutdownCompleted`)},
		{"wire/read-strings", "3", "every string is read as it is", script(`
			> ` + quoted + ` BootstrapReady
			> ` + quoted + ` Diagnostic Info ` + quoted + ` ` + quoted + ` ` + quoted + `
			> "" BootstrapReady
			> "" Diagnostic`)},
		{"wire/read-long", "3", "strings may be long", script(`
			sizes > s*% BootstrapReady
			sizes > w% BootstrapFailed s*% => refused BootstrapFailed
			> w1 BootstrapReady
			sizes spawn_job % 0 0 0 b => SpawnJob; > w1 StatusSnapshot % Running s*%; > w1 JobCompleted % Err s*% s*%
			sizes remove_job % => = Completed; spawn_job % 0 0 0 b => SpawnJob; > w1 JobCompleted % Cancelled s*%
			sizes remove_job % => = Completed; spawn_job % 0 0 0 b => SpawnJob; > w1 JobCompleted % Panicked s*%
			sizes > w1 Diagnostic Info s*% s*% s*%`)},
		{"wire/read-forms", "3", "characters are not normalized: é and e with an accent are two strings", script(`
			> "\u00e9" BootstrapReady
			> "\u00e9" Diagnostic Info ` + forms + ` ` + forms + ` ` + forms + `
			> "e\u0301" Diagnostic => refused WorkerSessionMismatch
			> "e\u0301" BootstrapReady
			> "\u00e9" BootstrapReady => refused RetiredWorker`)},
		{"digest/header", "4", "the digest covers every number of the envelope, in 64 bits, and the worker id", script("> w1 BootstrapReady\n" + headers("Diagnostic"))},
		{"digest/damaged", "5", "a damaged message is refused", script(`
			> w1 digest=bad BootstrapReady => refused ReplayHashMismatch
			> w1 BootstrapReady`)},
		{"validate/order", "5", "validation has its order: version, digest, identity", script(`
			> w1 version=2 digest=bad worker=- BootstrapReady => refused VersionMismatch
			> w1 version=0 BootstrapReady => refused VersionMismatch
			> w1 version=4294967295 BootstrapReady => refused VersionMismatch
			> w1 digest=bad worker=- BootstrapReady => refused ReplayHashMismatch
			> w1 worker=- BootstrapReady => refused MissingWorkerIdentity
			> w1 worker=- Diagnostic => refused MissingWorkerIdentity
			> w1 worker="v" BootstrapReady => refused WorkerIdentityMismatch
			> w1 worker="" BootstrapFailed => refused WorkerIdentityMismatch
			> PollStatus 1 => refused UnexpectedDirection
			> worker="w1" PollStatus 1 => refused UnexpectedWorkerIdentity`)},
	})
}

// headers returns the lines of messages whose numbers are all different.
func headers(op string) string {
	sender := ""
	if op == "Diagnostic" {
		sender = "w1 "
	}
	return `
		> ` + sender + `seq=9007199254740993 id=18446744073709551615 decision=3 seed=4 turn=5 ` + op + `
		> ` + sender + `seq=9223372036854775808 id=0 decision=18446744073709551615 seed=0 turn=0 ` + op + `
		> ` + sender + `seq=18446744073709551614 id=9007199254740993 decision=9007199254740995 seed=18446744073709551615 turn=9223372036854775809 ` + op + `
		> ` + sender + `seq=18446744073709551615 id=12345678901234567890 decision=0 seed=9007199254740993 turn=18446744073709551615 ` + op
}

var quoted = goQuote(everyString)

// forms are strings that look alike, in normal form C and in normal form D.
const forms = `"\u00e9 e\u0301 \u212b \u00c5 A\u030a \uac00 \u1100\u1161 \ufb01 fi"`

func workerWireChecks() []Check {
	return []Check{
		{"wire/announce", "3", "the announcement is canonical JSON", script(`
			announce => BootstrapReady`)},
		{"wire/numbers", "1", "messages are numbered from 1, each by 1 more, and carry the seed", script(`
			announce => BootstrapReady
			diagnose Info "c" "m" - => Diagnostic
			diagnose Info "c" "m" - => Diagnostic
			new "v" 18446744073709551615
			announce => BootstrapReady
			new "v" 9007199254740993
			announce => BootstrapReady`)},
		{"wire/operations", "3", "every operation and outcome of a worker is written as section 3 says", script(`
			announce => BootstrapReady
			> SpawnJob 7
			start 7 => StatusSnapshot
			report 7 "detail" => StatusSnapshot
			complete 7 Ok b0001ff => JobCompleted
			> SpawnJob 8
			complete 8 Ok b => JobCompleted
			> SpawnJob 9
			complete 9 Err "code" "message" => JobCompleted
			> SpawnJob 10
			complete 10 Cancelled "reason" => JobCompleted
			> SpawnJob 11
			complete 11 Panicked "message" => JobCompleted
			> SpawnJob 12
			> CancelJob 12
			acknowledge_cancel 12 => CancelAcknowledged
			> DrainJob 12
			complete_drain 12 => DrainCompleted
			> FinalizeJob 12
			complete_finalize 12 => FinalizeCompleted
			diagnose Info "category" "message" "metadata" => Diagnostic
			diagnose Warn "category" "message" - => Diagnostic
			diagnose Error "category" "message" - => Diagnostic
			complete_shutdown => ShutdownCompleted
			new "v" 1
			fail "reason" => BootstrapFailed`)},
		{"wire/escapes", "3", "strings escape what section 3 says and nothing else", script(`
			fail ` + quoted + ` => BootstrapFailed
			new ` + quoted + ` 1
			announce => BootstrapReady
			> SpawnJob 1
			complete 1 Err ` + quoted + ` ` + quoted + ` => JobCompleted
			> SpawnJob 2
			complete 2 Panicked ` + quoted + ` => JobCompleted`)},
		{"wire/integers", "3", "integers have all 64 bits", script(`
			announce => BootstrapReady
			> SpawnJob 9007199254740993
			start 9007199254740993 => StatusSnapshot
			> SpawnJob 18446744073709551615
			start 18446744073709551615 => StatusSnapshot
			> SpawnJob 0
			start 0 => StatusSnapshot`)},
		{"wire/empty", "1", "an empty string is not an absent one", script(`
			new "" 1
			announce => BootstrapReady
			> SpawnJob 1
			start 1 => StatusSnapshot
			complete 1 Err "" "" => JobCompleted
			> SpawnJob 2
			complete 2 Cancelled "" => JobCompleted
			fail "" => BootstrapFailed`)},
		{"wire/empty-optional", "1", "an empty detail or metadata is not an absent one", script(`
			announce => BootstrapReady
			> SpawnJob 1
			report 1 "" => StatusSnapshot
			diagnose Info "" "" "" => Diagnostic
			diagnose Info "" "" - => Diagnostic`)},
		{"wire/payload", "3", "a payload is an array of integers", script(`
			announce => BootstrapReady
			> SpawnJob 1 b*256
			complete 1 Ok b*256 => JobCompleted
			> SpawnJob 2 b00
			complete 2 Ok b00 => JobCompleted`)},
		{"wire/cannot-be-sent", "3", "a string that is not well-formed is refused, and nothing is sent", script(`
			fail "\xff" => refused InvalidValue
			announce => BootstrapReady
			> SpawnJob 1
			complete 1 Err "\xff" "m" => refused InvalidValue
			complete 1 Err "c" "\xed\xa0\x80" => refused InvalidValue
			complete 2 Panicked "\xff" => refused InvalidValue
			complete 1 Ok b => JobCompleted`)},
		{"wire/cannot-be-sent-first", "10", "what cannot be sent is refused before anything else", script(`
			complete 9 Err "c" "\xff" => refused InvalidValue
			new "\xff" 1
			announce => refused InvalidValue
			fail "x" => refused InvalidValue
			start 9 => refused WorkerNotReady
			new "w" 1
			announce => BootstrapReady
			complete_shutdown => ShutdownCompleted
			complete 9 Cancelled "\xff" => refused InvalidValue
			fail "\xff" => refused InvalidValue`)},
		{"wire/long", "3", "strings may be long", script(`
			sizes new s*% 1; announce => BootstrapReady; fail s*% => BootstrapFailed
			new "w" 1
			announce => BootstrapReady
			sizes > SpawnJob %; complete % Err s*% s*% => JobCompleted
			sizes > SpawnJob %; complete % Cancelled s*% => JobCompleted
			sizes > SpawnJob %; complete % Panicked s*% => JobCompleted`)},
		{"wire/long-optional", "3", "so may a detail and a diagnostic", script(`
			announce => BootstrapReady
			> SpawnJob 1
			sizes report 1 s*% => StatusSnapshot
			sizes diagnose Info s*% s*% s*% => Diagnostic`)},
		{"wire/forms", "3", "characters are not normalized: é and e with an accent are two strings", script(`
			new ` + forms + ` 1
			announce => BootstrapReady
			> SpawnJob 1
			complete 1 Err ` + forms + ` ` + forms + ` => JobCompleted
			fail ` + forms + ` => BootstrapFailed`)},
	}
}

func coordinatorWireChecks() []Check {
	return []Check{
		{"wire/first", "3", "the first message is canonical JSON", script(`
			request_shutdown "reason" => ShutdownWorker`)},
		{"wire/numbers", "1", "messages are numbered from 1, each by 1 more, and carry the seed", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			poll_status 1 => PollStatus
			poll_status 1 => PollStatus
			new 18446744073709551615
			request_shutdown "reason" => ShutdownWorker
			new 9007199254740993
			request_shutdown "reason" => ShutdownWorker`)},
		{"wire/operations", "3", "every operation of a coordinator is written as section 3 says", script(`
			> w1 BootstrapReady
			spawn_job 7 8 9 10 b0001ff => SpawnJob
			spawn_job 8 0 0 0 b => SpawnJob
			poll_status 7 => PollStatus
			cancel_job 7 "reason" => CancelJob
			> w1 CancelAcknowledged 7 => DrainJob
			> w1 DrainCompleted 7 => FinalizeJob
			request_shutdown "reason" => ShutdownWorker`)},
		{"wire/escapes", "3", "strings escape what section 3 says and nothing else", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			cancel_job 1 ` + quoted + ` => CancelJob
			request_shutdown ` + quoted + ` => ShutdownWorker`)},
		{"wire/integers", "3", "integers have all 64 bits", script(`
			> w1 BootstrapReady
			spawn_job 9007199254740993 18446744073709551615 9007199254740995 9223372036854775808 b => SpawnJob
			poll_status 9007199254740993 => PollStatus
			spawn_job 9007199254740992 0 0 0 b => SpawnJob
			spawn_job 18446744073709551615 0 0 0 b => SpawnJob`)},
		{"wire/empty", "3", "an empty string is written as such", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			cancel_job 1 "" => CancelJob
			request_shutdown "" => ShutdownWorker`)},
		{"wire/payload", "3", "a payload is an array of integers", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b*256 => SpawnJob
			spawn_job 2 0 0 0 b00 => SpawnJob`)},
		{"wire/cannot-be-sent", "7", "a string that is not well-formed is refused before anything else, and nothing is sent", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			cancel_job 2 "\xff" => refused InvalidValue
			cancel_job 1 "\xed\xa0\x80" => refused InvalidValue
			request_shutdown "\xff" => refused InvalidValue
			poll_status 1 => PollStatus`)},
		{"wire/cannot-be-sent-first", "7", "so it is while a shutdown is under way", script(`
			request_shutdown "x" => ShutdownWorker
			cancel_job 9 "\xff" => refused InvalidValue
			request_shutdown "\xff" => refused InvalidValue
			cancel_region 9 "\xff" => refused InvalidValue
			close_region 9 "\xff" => refused InvalidValue
			shutdown_when_idle "\xff" => refused InvalidValue`)},
		{"wire/long", "3", "strings may be long", script(`
			> w1 BootstrapReady
			sizes spawn_job % 0 0 0 b => SpawnJob; cancel_job % s*% => CancelJob
			sizes new 1; request_shutdown s*% => ShutdownWorker`)},
		{"wire/forms", "3", "characters are not normalized: é and e with an accent are two strings", script(`
			> w1 BootstrapReady
			spawn_job 1 0 0 0 b => SpawnJob
			cancel_job 1 ` + forms + ` => CancelJob
			request_shutdown ` + forms + ` => ShutdownWorker`)},
	}
}

// header returns a header whose numbers are all n.
func header(n uint64) wc.Header {
	return wc.NewHeader(n, n, 7, n/2)
}
