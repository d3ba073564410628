package transporttest

import (
	"testing"
)

func TestGoChannelsPass(t *testing.T) {
	t.Run("buffered", func(t *testing.T) { Test(t, channels(8)) })
	t.Run("rendezvous", func(t *testing.T) { Test(t, channels(0)) })
	t.Run("large buffer", func(t *testing.T) { Test(t, channels(100_000)) })
}
