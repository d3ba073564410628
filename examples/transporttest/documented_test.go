package transporttest_test

import (
	"testing"

	"github.com/workerchannel/workerchannel/examples/transporttest"
)

// The documented example is a test like any other.
func TestLinesOverNetPipePass(t *testing.T) { transporttest.Test(t, openLines) }
