module github.com/workerchannel/workerchannel/examples/peers

go 1.26.0

require (
	github.com/stretchr/testify v1.12.1
	github.com/workerchannel/workerchannel v0.2.0
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace github.com/workerchannel/workerchannel => ../..
