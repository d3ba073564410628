// The corpora of the fuzz targets are a module of their own, without packages, so that they are not downloaded with the
// library. `go test` finds them in a clone.
module github.com/workerchannel/workerchannel/testdata/fuzz

go 1.26
