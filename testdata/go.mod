// Test data are a module of their own, without packages, so that they are not downloaded with the library. Tests find
// them in a clone.
module github.com/workerchannel/workerchannel/testdata

go 1.26
