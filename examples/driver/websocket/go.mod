module github.com/workerchannel/workerchannel/examples/driver/websocket

go 1.26.0

require (
	github.com/coder/websocket v1.8.15
	github.com/workerchannel/workerchannel v0.2.0
)

replace github.com/workerchannel/workerchannel => ../../..
