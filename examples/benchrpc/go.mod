module github.com/workerchannel/workerchannel/examples/benchrpc

go 1.26

require (
	github.com/sourcegraph/jsonrpc2 v0.2.3
	github.com/workerchannel/workerchannel v0.0.0
)

replace github.com/workerchannel/workerchannel => ../..
