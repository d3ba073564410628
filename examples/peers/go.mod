module github.com/workerchannel/workerchannel/examples/peers

go 1.26.0

require github.com/workerchannel/workerchannel v0.0.0

replace github.com/workerchannel/workerchannel => ../..
