package driver

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Whether a handler first asks anything of its context before or after its end, it gets the same answers.
func TestTheContextOfAJobIsTheSameWheneverItIsAskedFor(t *testing.T) {
	type key struct{}
	base, endBase := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
	defer endBase(nil)
	why := errors.New("why")
	for name, askFirst := range map[string]func(context.Context){
		"never":          func(context.Context) {},
		"for its end":    func(ctx context.Context) { ctx.Done() },
		"for its error":  func(ctx context.Context) { assert.NoError(t, ctx.Err()) },
		"for a value":    func(ctx context.Context) { assert.Equal(t, "value", ctx.Value(key{})) },
		"for its cause":  func(ctx context.Context) { assert.NoError(t, context.Cause(ctx)) },
		"for a deadline": func(ctx context.Context) { _, ok := ctx.Deadline(); assert.False(t, ok) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx := &jobContext{base: base}
			askFirst(ctx)
			ctx.end(why)
			ctx.end(errors.New("later"))
			<-ctx.Done()
			assert.Equal(t, context.Canceled, ctx.Err())
			assert.Equal(t, why, context.Cause(ctx))
			assert.Equal(t, "value", ctx.Value(key{}))
		})
	}

	for name, askFirst := range map[string]bool{"asked for before": true, "not asked for": false} {
		for _, firstEnd := range []string{"job", "base"} {
			base, endBase := context.WithCancelCause(t.Context())
			ctx := &jobContext{base: base}
			if askFirst {
				ctx.Done()
			}
			if firstEnd == "job" {
				ctx.end(why)
				endBase(errors.New("later"))
			} else {
				endBase(why)
				ctx.end(errors.New("later"))
			}
			assert.Equal(t, why, context.Cause(ctx), "%s, %s ends first", name, firstEnd)
			assert.Equal(t, context.Canceled, ctx.Err())
		}
	}

	ctx := &jobContext{base: base}
	child, cancel := context.WithCancel(ctx)
	defer cancel()
	endBase(why)
	assert.Equal(t, why, context.Cause(ctx), "the end of the worker's own")
	assert.Equal(t, why, context.Cause(child))
}
