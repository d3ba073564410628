package transporttest_test

import (
	"testing"

	"github.com/workerchannel/workerchannel/examples/transporttest"
)

func TestDocumentedExamplePasses(t *testing.T) { transporttest.Test(t, openLines) }
